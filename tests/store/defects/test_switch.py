"""The switch: one defect, by name, on a cluster that may lose its data, which says so."""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from splitbrain.store import defects
from splitbrain.store.config import Config, ConfigError
from splitbrain.store.defects import DEFECTS
from tests.store.box import Box
from tests.store.defects.test_stories import STORIES

ROOT = Path(__file__).parents[3]
FAMILIES = {
    "loses acknowledged writes",
    "invents siblings",
    "resurrects",
    "never converges",
    "stale longer than it should",
}
COMPARISONS = [
    ast.unparse(node)
    for path in sorted((ROOT / "store").rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.Compare)
]
each = pytest.mark.parametrize("name", DEFECTS)


def test_an_unknown_defect_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="no such defect; give one of ack-before-durable, ") as refusal:
        Config(defect="ack-before-durabel", unsafe=True)
    assert all(name in str(refusal.value) for name in DEFECTS)


@each
def test_a_defect_is_refused_without_unsafe(name):
    with pytest.raises(ConfigError, match=f"defect={name} is a mistake on purpose .*: give unsafe=true too"):
        Config().changed({"defect": name})
    assert Config().changed({"defect": name, "unsafe": "true"}).defect == name


def test_unsafe_without_a_defect_changes_nothing():
    assert Config(unsafe=True) == Config().changed({"unsafe": "true"})


def test_what_a_defect_consists_of_is_forced_whatever_else_was_given():
    config = Config().changed({"defect": defects.NO_ANTI_ENTROPY, "unsafe": "true", "anti_entropy_s": "5"})
    assert (config.anti_entropy_s, config.read_repair) == (0, "off")


@each
def test_a_defective_configuration_survives_the_way_to_a_client(name):
    config = Config(defect=name, unsafe=True)
    assert Config().changed(config.settings()) == config


@each
def test_every_node_says_in_its_log_that_it_has_a_defect(name):
    box = Box(3, config=Config(defect=name, unsafe=True), settled=False)
    for host in box.hosts.values():
        assert f"WARNING: defect={name} is on. {DEFECTS[name].wrong} Keep nothing here." in host.log


def test_a_node_without_a_defect_warns_of_none():
    box = Box(3, config=Config(unsafe=True), settled=False)
    assert not [line for host in box.hosts.values() for line in host.log if "WARNING" in line]


@each
def test_a_defect_is_told_in_sentences_and_has_a_family(name):
    defect = DEFECTS[name]
    assert defect.family in FAMILIES
    assert re.fullmatch(r"[A-Z][^.]*\.", defect.wrong)
    assert defect.seen.endswith(".")


@each
def test_a_defect_has_one_place_in_the_store_or_settings_that_make_it(name):
    constant = next(key for key, value in vars(defects).items() if value == name)
    places = [comparison for comparison in COMPARISONS if re.search(rf"[._]defect [!=]= {constant}$", comparison)]
    assert len(places) == (0 if DEFECTS[name].forces else 1)


@each
def test_the_documentation_names_the_defect_with_its_family_and_who_catches_it(name):
    lines = (ROOT / "docs" / "defects.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1
    (story,) = [story for story in STORIES if story.defect == name]
    assert f"| {DEFECTS[name].family} | {DEFECTS[name].wrong} | `{story.checker}`" in rows[0]
    assert f"| `story {name}`" in rows[0]


@pytest.fixture
def serve(tmp_path):
    """The command of a node of its own, but for its configuration."""
    key = tmp_path / "key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        member = f"n1=127.0.0.1:{free.getsockname()[1]}"
    node = ["--key-file", str(key), "--name", "n1", "--member", member, "--engine", "memory"]
    one = [word for setting in ("n=1", "r=1", "w=1") for word in ("--config", setting)]
    return [sys.executable, "-m", "splitbrain.store.cli.main", "serve", *node, *one]


def test_a_served_node_with_a_defect_warns_before_it_serves(serve):
    command = [*serve, "--config", "defect=reused-dot", "--config", "unsafe=true"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as node:
        assert node.stdout is not None
        lines = []
        for line in node.stdout:
            lines.append(line)
            if line.startswith("serving"):
                node.terminate()
    assert node.returncode == 0, lines
    assert any("WARNING: defect=reused-dot is on." in line for line in lines[:-1]), lines


def test_serving_with_a_defect_is_refused_without_unsafe(serve):
    done = subprocess.run([*serve, "--config", "defect=reused-dot"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 64
    assert "give unsafe=true too, on a cluster whose data may be lost" in done.stderr
