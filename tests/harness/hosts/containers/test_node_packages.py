"""What a node image takes from pip: checked by hash where one is known, and named where none is."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.containers import node_packages
from splitbrain.harness.hosts.containers.node_packages import HASHES, canonical, fetched, known_hashes
from splitbrain.harness.systems.dynamo.store_image import NEEDS


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of wheels that pip looks in, and in no other."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(node_packages, "HASHES", tmp_path / "hashes.txt")
    return folder


def wheel(folder: Path, name: str, body: str, *needs: str) -> str:
    """A wheel of one module; its hash."""
    info = f"{name}-1.0.dist-info"
    metadata = "".join(
        ["Metadata-Version: 2.1\nName: ", name, "\nVersion: 1.0\n", *(f"Requires-Dist: {n}\n" for n in needs)]
    )
    tag = "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {f"{name}.py": body, f"{info}/METADATA": metadata, f"{info}/WHEEL": tag}
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        rows = []
        for file, content in files.items():
            packed.writestr(file, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
            rows.append(f"{file},sha256={digest},{len(content.encode())}\n")
        packed.writestr(f"{info}/RECORD", "".join([*rows, f"{info}/RECORD,,\n"]))
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def known(**hashes: str) -> None:
    lines = (f"{name}==1.0 --hash={digest}\n" for name, digest in hashes.items())
    node_packages.HASHES.write_text("".join(lines))


def test_what_is_needed_and_what_that_needs_are_taken_if_their_hashes_are_known(wheels: Path) -> None:
    known(lower=wheel(wheels, "lower", "x = 1\n"), upper=wheel(wheels, "upper", "y = 2\n", "lower>=1"))
    said: list[str] = []
    files = fetched("3.11", "x86_64", ["upper==1.0"], said.append)
    assert (files["packages/lower.py"], files["packages/upper.py"]) == (b"x = 1\n", b"y = 2\n")
    assert said == []


def test_a_package_that_was_altered_is_refused(wheels: Path) -> None:
    known(lower=wheel(wheels, "lower", "x = 1\n"))
    wheel(wheels, "lower", "import os; os.system('true')\n")
    with pytest.raises(EnvironmentFailure, match=r"is not the one that hashes\.txt names") as caught:
        fetched("3.11", "x86_64", ["lower==1.0"], print)
    assert "\n" not in str(caught.value)


def test_what_has_no_known_hash_is_taken_and_named(wheels: Path) -> None:
    known(lower=wheel(wheels, "lower", "x = 1\n"))
    wheel(wheels, "upper", "y = 2\n", "lower>=1")
    said: list[str] = []
    files = fetched("3.11", "x86_64", ["upper==1.0"], said.append)
    assert {"packages/lower.py", "packages/upper.py"} <= set(files)
    assert said == ["image: taken without a known hash: upper==1.0"]


def test_another_version_of_what_is_known_is_named_too(wheels: Path) -> None:
    node_packages.HASHES.write_text(f"lower==0.9 --hash={wheel(wheels, 'lower', '')}\n")
    said: list[str] = []
    fetched("3.11", "x86_64", ["lower==1.0"], said.append)
    assert said == ["image: taken without a known hash: lower==1.0"]


def test_what_pip_can_not_get_is_one_line(wheels: Path) -> None:
    known()
    with pytest.raises(
        EnvironmentFailure, match=r"pip can't fetch nowhere==1.0 for the nodes: .*; check that pip works"
    ):
        fetched("3.11", "x86_64", ["nowhere==1.0"], print)


def test_the_list_has_all_that_the_store_s_nodes_import_and_what_that_needs() -> None:
    listed = known_hashes(HASHES.read_text())
    names = {each.partition("==")[0] for each in listed}
    assert {canonical(name) for name in NEEDS} <= names
    for name in NEEDS:
        for need in requires(name) or ():
            if ";" not in need:  # Of extras, other systems and other Pythons.
                assert canonical(re.split(r"[^\w.-]", need)[0]) in names, need
    assert all(hashes for hashes in listed.values())
