"""The Python distributions of a node image, fetched with pip and held to known hashes.

1. pip says first what it would take. What `HASHES` has by name and version is then taken with `--require-hashes`: a
   file that differs by one bit is refused, whoever altered it on the way.
2. What the list lacks is taken as it comes, and named in one line of progress. So a system of one's own may need
   anything, and nobody believes that it was checked.
3. The list has lines as pip's requirements files do: `name==version --hash=sha256:...`. `make lock` renews it, and more
   lines may be added.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from splitbrain.harness.environment import EnvironmentFailure, Progress
from splitbrain.harness.hosts.containers.layer import Files

HASHES = Path(__file__).parent.parent / "layers" / "node-packages.txt"
# The oldest glibc of a base image is 2.36, so wheels for anything up to it run there.
WHEEL_PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_34")
_PINNED = re.compile(r"^([\w.-]+)==([\w.+!-]+)(.*)$")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


def known_hashes(text: str) -> dict[str, tuple[str, ...]]:
    """The hashes of a list, by `name==version`; names as `canonical` has them."""
    known: dict[str, tuple[str, ...]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        if found := _PINNED.match(line.strip()):
            name, version, rest = found.groups()
            known[f"{canonical(name)}=={version}"] = tuple(_HASH.findall(rest))
    return {name: hashes for name, hashes in known.items() if hashes}


def canonical(name: str) -> str:
    """A distribution's name in the one spelling that all its spellings stand for (PEP 503).

    >>> canonical("Markdown_It.Py")
    'markdown-it-py'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def fetched(python: str, machine: str, needs: Sequence[str], progress: Progress) -> Files:
    """The files of these distributions, and of those they need, below `packages/`.

    python: the nodes' version, "3.11". machine: their architecture, as in "x86_64". needs: `name==version`, each.
    Raises EnvironmentFailure with what pip said.
    """
    platforms = [argument for p in WHEEL_PLATFORMS for argument in ("--platform", f"{p}_{machine}")]
    chosen = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python, *platforms]
    known = known_hashes(HASHES.read_text())
    with tempfile.TemporaryDirectory(prefix="splitbrain-packages-") as folder:
        report, checked, target = (Path(folder) / name for name in ("report.json", "checked.txt", "target"))
        # pip wants a target for other platforms than its own, and writes nothing there.
        asking = ["--dry-run", "--ignore-installed", "--report", str(report), "--target", str(target)]
        _pip([*asking, *chosen, *needs], needs)
        taken = sorted(_taken(json.loads(report.read_text())))
        sure, unsure = [each for each in taken if each in known], [each for each in taken if each not in known]
        if sure:
            checked.write_text("".join(_line(each, known) for each in sure))
            _pip([*chosen, "--no-deps", "--target", str(target), "--require-hashes", "-r", str(checked)], sure)
        if unsure:
            progress(f"image: taken without a known hash: {', '.join(unsure)}")
            _pip([*chosen, "--no-deps", "--target", str(target), *unsure], unsure)
        files = sorted(path for path in target.rglob("*") if path.is_file())
        return {f"packages/{path.relative_to(target).as_posix()}": path.read_bytes() for path in files}


def _taken(report: Mapping[str, list[Mapping[str, Mapping[str, str]]]]) -> Iterable[str]:
    for each in report["install"]:
        yield f"{canonical(each['metadata']['name'])}=={each['metadata']['version']}"


def _line(each: str, known: Mapping[str, Sequence[str]]) -> str:
    return " ".join([each, *(f"--hash={hash_}" for hash_ in known[each])]) + "\n"


def _pip(words: Sequence[str], needs: Iterable[str]) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return
    said = done.stderr.strip().splitlines() or ["it said nothing"]
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise EnvironmentFailure(
            f"a package for the nodes is not the one that {HASHES.name} names: {' '.join(done.stderr.split())}; "
            "find out who altered it, or run `make lock` if it is right"
        )
    raise EnvironmentFailure(
        f"pip can't fetch {', '.join(needs)} for the nodes: {said[-1]}; "
        "check that pip works here (`python -m pip download msgspec`)"
    )
