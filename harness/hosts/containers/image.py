"""A system's node image: found, or built in five layers.

1. A layer's tag holds a hash of all that goes into it: when an input changes, that layer and those above it are
   built anew, and nothing else is.
2. Base: what the harness needs of Debian, on a Debian or Python image that is already present or can be pulled, else on
   a root file system made with debootstrap. Debian: the system's packages. Packages: the Python distributions that the
   system's nodes import. Shims: libraries to be preloaded into programs. Node: sshd's configuration and the system's
   files.
3. What the system contributes is its `NodeImage`; the rest is what the harness itself needs on a node.
4. Nothing is downloaded after the build; a node never reaches a registry.

`python -m splitbrain.harness.hosts.containers.image` does it for every registered system (`make image`), and so does
a system's first run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from docker.client import DockerClient

from splitbrain.harness.catalogue import SYSTEMS, UnknownName, names, system
from splitbrain.harness.environment import EnvironmentFailure, Progress
from splitbrain.harness.hosts.containers import shim_build
from splitbrain.harness.hosts.containers.engine import connect, refusals
from splitbrain.harness.hosts.containers.layer import Files, build, present, pull, tag_of
from splitbrain.harness.hosts.containers.node_packages import HASHES, fetched
from splitbrain.harness.system import NodeImage

LAYERS = Path(__file__).parent.parent / "layers"
"""The recipe of the layers; installed with the package."""
DEBIAN_PACKAGES = ("openssh-server", "iptables", "python3", "procps")
"""What the harness needs on every node: a way in, partitions, probes, a look at processes."""
# Any of them will do if it is present; only the first is pulled.
BASES = ("debian:bookworm-slim", "debian:bookworm", "python:3.11-slim-bookworm", "python:3.11-slim")


def ensure_image(
    client: DockerClient, image: NodeImage, progress: Progress, stop: threading.Event | None = None
) -> str:
    """The tag of the system's node image; builds what is missing of it.

    That takes about a minute the first time, and seconds after that. stop: set it from another thread to give up.
    Raises EnvironmentFailure where a layer can't be built.
    """
    stop = stop or threading.Event()
    recipe, needs, files = _recipe(), _pinned(image.python), _files(image)
    tags = layers_of(image)
    if present(client, tags.node):
        return tags.node
    if not present(client, tags.shims):
        if not present(client, tags.packages):
            if not present(client, tags.debian):
                if not present(client, tags.base):
                    _build_base(client, tags.base, DEBIAN_PACKAGES, recipe, progress, stop)
                if image.debian:
                    _build_debian(client, tags.debian, tags.base, image.debian, recipe, progress, stop)
            if needs:
                progress(f"image: fetching {', '.join(needs)} for the nodes")
                wheels = _packages(client, tags.debian, needs, progress)
                build(client, tags.packages, recipe["packages.Dockerfile"], wheels, {"FROM": tags.debian}, stop)
        progress("image: compiling what is preloaded into programs")
        _build_shims(client, tags.shims, tags.packages, _sources(recipe), _shim_dockerfiles(recipe), stop)
    progress("image: adding the system's files")
    build(client, tags.node, recipe["node.Dockerfile"], files, {"FROM": tags.shims}, stop, _executables(image))
    return tags.node


@dataclass(frozen=True, slots=True)
class Layers:
    """The tags of a node image and of what it stands on; two layers that add nothing to each other have one tag."""

    base: str
    debian: str
    packages: str
    shims: str
    node: str


def layers_of(image: NodeImage) -> Layers:
    """The tags that the layers of a system's node image have, built or not (rule 1).

    Raises EnvironmentFailure where a Python distribution that it needs is not installed here.
    """
    recipe, needs = _recipe(), _pinned(image.python)
    base = tag_of("base", "", DEBIAN_PACKAGES, {n: recipe[n] for n in ("base.sh", "base.Dockerfile")})
    added = {n: recipe[n] for n in ("extend.sh", "debian.Dockerfile")}
    debian = tag_of("debian", base, image.debian, added) if image.debian else base
    hashed = {n: recipe[n] for n in ("packages.Dockerfile", HASHES.name)}
    packages = tag_of("packages", debian, needs, hashed) if needs else debian
    contents = {**_sources(recipe), **_shim_dockerfiles(recipe)}
    shims = tag_of("shims", packages, (*shim_build.FLAGS, *shim_build.IDLE_FLAGS), contents)
    files = {**_files(image), "node.Dockerfile": recipe["node.Dockerfile"]}
    return Layers(base, debian, packages, shims, tag_of("node", shims, _executables(image), files))


def _recipe() -> Files:
    return {path.name: path.read_bytes() for path in LAYERS.iterdir() if path.is_file()}


def _sources(recipe: Files) -> Files:
    return {name: recipe[name] for name in (*shim_build.SOURCES, shim_build.IDLE)}


def _shim_dockerfiles(recipe: Files) -> Files:
    return {name: recipe[name] for name in ("shims.Dockerfile", "compile.Dockerfile")}


def _files(image: NodeImage) -> Files:
    """What the last layer adds: sshd's configuration, and the system's own."""
    root = {"etc/ssh/sshd_config": (LAYERS / "sshd_config").read_bytes()}
    root.update((name.lstrip("/"), content) for name, content in image.files.items())
    return {f"root/{name}": content for name, content in root.items()}


def _executables(image: NodeImage) -> tuple[str, ...]:
    return tuple(f"root/{name.lstrip('/')}" for name in image.executables)


def _build_shims(
    client: DockerClient, tag: str, below: str, sources: Files, dockerfiles: Files, stop: threading.Event
) -> None:
    if shim_build.compilable(client, below):
        libraries = shim_build.compiled(sources)
        return build(client, tag, dockerfiles["shims.Dockerfile"], libraries, {"FROM": below}, stop, ("idle",))
    flags = {"FLAGS": " ".join(shim_build.FLAGS), "IDLE_FLAGS": " ".join(shim_build.IDLE_FLAGS)}
    arguments = {"FROM": below, **flags}
    try:
        return build(client, tag, dockerfiles["compile.Dockerfile"], sources, arguments, stop)
    except EnvironmentFailure as failure:
        raise EnvironmentFailure(f"{failure}; or install gcc here (`apt-get install gcc libc6-dev`)") from failure


def _pinned(names: Iterable[str]) -> tuple[str, ...]:
    """The versions that the harness itself runs, so that a node runs what was tested."""
    try:
        return tuple(f"{name}=={version(name)}" for name in names)
    except PackageNotFoundError as error:
        raise EnvironmentFailure(
            f"the system's nodes need {error.name}, which is not installed here; run `pip install {error.name}`"
        ) from error


def _build_base(
    client: DockerClient, tag: str, debian: Sequence[str], recipe: Files, progress: Progress, stop: threading.Event
) -> None:
    found = next((name for name in BASES if present(client, name)), None) or pull(BASES[0], progress, stop)
    if found:
        progress(f"image: installing {', '.join(debian)} on {found}")
        arguments = {"FROM": found, "PACKAGES": " ".join(debian)}
        try:
            return build(client, tag, recipe["base.Dockerfile"], {}, arguments, stop)
        except EnvironmentFailure as failure:
            # A build may be cut off from the mirrors that the machine itself can reach.
            progress(f"image: {failure}")
    _debootstrap(client, tag, debian, progress, stop)
    return None


def _debootstrap(
    client: DockerClient, tag: str, debian: Sequence[str], progress: Progress, stop: threading.Event
) -> None:
    tools = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if shutil.which("debootstrap", path=tools) is None:
        raise EnvironmentFailure(
            "no base image is present or can be pulled, and debootstrap is not installed; "
            f"`docker load` a {BASES[0]}, or run `apt-get install debootstrap`"
        )
    progress("image: making a Debian base with debootstrap (about 40 s, this once)")
    # A file without a name: nothing is left of it even after a kill -9.
    with tempfile.TemporaryFile() as tar:
        command = ["sh", str(LAYERS / "base.sh"), *debian]
        _run(command, {**os.environ, "PATH": tools}, tar, _Phases(progress), stop)
        progress("image: importing the base")
        _import(client, tar, tag, "the base made with debootstrap")


def _import(client: DockerClient, tar: IO[bytes], tag: str, what: str) -> None:
    repository, _, label = tag.partition(":")
    tar.seek(0)
    with refusals(f"import {what}"):
        client.api.import_image(src=tar, repository=repository, tag=label)


def _build_debian(
    client: DockerClient,
    tag: str,
    base: str,
    debian: Sequence[str],
    recipe: Files,
    progress: Progress,
    stop: threading.Event,
) -> None:
    """Add Debian packages to the base: in a build, or where that can't reach the mirrors, from this machine."""
    progress(f"image: installing {', '.join(debian)}")
    arguments = {"FROM": base, "PACKAGES": " ".join(debian)}
    try:
        return build(client, tag, recipe["debian.Dockerfile"], {}, arguments, stop)
    except EnvironmentFailure as failure:
        progress(f"image: {failure}")
    with tempfile.TemporaryFile() as below, tempfile.TemporaryFile() as above:
        with refusals(f"export the image {base}"):
            container = client.containers.create(base, ["true"])
            try:
                exported: Any = container.export()  # The stubs say that it gives strings.
                below.writelines(exported)
            finally:
                container.remove()
        below.seek(0)
        command = ["sh", str(LAYERS / "extend.sh"), *debian]
        _run(command, dict(os.environ), above, _Phases(progress), stop, below)
        _import(client, above, tag, f"the base with {', '.join(debian)}")
    return None


class _Phases:
    """Reduces debootstrap's hundreds of lines to one for each phase, and keeps the last lines for errors."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._phase = ""
        self.last = ""
        self.error = ""

    def __call__(self, line: str) -> None:
        self.last = line or self.last
        if line.startswith("E: "):
            self.error = self.error or line
        match line.split():
            case ["I:", ("Retrieving" | "Extracting" | "Unpacking" | "Configuring") as phase, *_] if (
                phase != self._phase
            ):
                # Retrieving and Validating alternate, and Unpacking comes back after Configuring.
                self._phase = phase
                self._progress(f"image: debootstrap: {phase.lower()} packages")


def _run(
    command: list[str],
    environment: Mapping[str, str],
    output: IO[bytes],
    heard: _Phases,
    stop: threading.Event,
    given: IO[bytes] | int = subprocess.DEVNULL,
) -> None:
    with subprocess.Popen(
        command,
        env=environment,
        stdin=given,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        threading.Thread(target=_end_with, args=(process, stop), daemon=True).start()
        assert process.stderr is not None
        for line in process.stderr:
            heard(line.strip())
    if stop.is_set():
        raise EnvironmentFailure("making the base image was interrupted; run `make image` again")
    if process.returncode != 0:
        said = heard.error or heard.last
        if "Unable to locate package" in said:
            raise EnvironmentFailure(f"{said.removeprefix('E: ')} in Debian; correct the system's `image()`")
        raise EnvironmentFailure(
            f"debootstrap failed ({said}); it must run as root and reach the machine's apt mirror: "
            f"try `sudo make image`, or `docker load` a {BASES[0]}"
        )


def _end_with(process: subprocess.Popen[str], stop: threading.Event) -> None:
    while process.poll() is None:
        if stop.wait(0.2):
            # The whole group: a shell runs its trap only once the program that it waits for has ended. And again: a
            # signal that comes just before the shell forks misses that program, and the shell waits on.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            time.sleep(0.2)


def _packages(client: DockerClient, base: str, needs: Sequence[str], progress: Progress) -> Files:
    """What the system's nodes import, as files for the Python inside the base."""
    with refusals(f"ask {base} for its Python"):
        asked = "import platform, sys; print(*sys.version_info[:2], platform.machine())"
        said = client.containers.run(base, ["python3", "-c", asked], remove=True, network_mode="none")
    major, minor, machine = said.decode().split()
    return fetched(f"{major}.{minor}", machine, needs, progress)


def _ensured(image: NodeImage, say: Callable[[str], None]) -> str:
    from splitbrain.harness.hosts.containers.stock_image import ensure_stock  # Of the same package, as `ensure_image`.

    client = connect()
    if not image.foreign:
        return ensure_image(client, image, say)
    return ensure_stock(client, image, ensure_image(client, NodeImage(), say), say, threading.Event()).tag


def main(say: Callable[[str], None] = print) -> int:
    """`make image`: build every system's image, with progress. Returns 0, or 3 if it can't be done."""
    try:
        for name in names(SYSTEMS):
            with contextlib.suppress(UnknownName):  # Its client is not installed here, so nobody can run it.
                say(f"image: {_ensured(system(name).image(), say)} is ready, for {name}")
    except EnvironmentFailure as failure:
        say(f"splitbrain: {failure}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
