"""A system's node image: found, or built in five layers.

1. A layer's tag holds a hash of all that goes into it: when an input changes, that layer and those above it are
   built anew, and nothing else is.
2. Base: what the harness needs of Debian, on a Debian or Python image that is already present or can be pulled, else on
   a root file system made with debootstrap. Debian: the system's packages. Packages: the Python distributions that the
   system's nodes import. Shims: libraries to be preloaded into programs. Node: sshd's configuration and the system's
   files.
3. What the system contributes is its `NodeImage`; the rest is what the harness itself needs on a node.
4. Nothing is downloaded after the build; a node never reaches a registry.

`python -m splitbrain.harness.hosts.image` does it for every registered system (`make image`), and so does a system's
first run.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from docker.client import DockerClient
from docker.errors import BuildError, DockerException, ImageNotFound

from splitbrain.harness.catalogue import SYSTEMS, UnknownName, names, system
from splitbrain.harness.environment import EnvironmentFailure, Progress
from splitbrain.harness.hosts import shim_build
from splitbrain.harness.hosts.engine import connect, refusals
from splitbrain.harness.system import NodeImage

LAYERS = Path(__file__).parent / "layers"
"""The recipe of the layers; installed with the package."""
DEBIAN_PACKAGES = ("openssh-server", "iptables", "python3", "procps")
"""What the harness needs on every node: a way in, partitions, probes, a look at processes."""
# Any of them will do if it is present; only the first is pulled.
BASES = ("debian:bookworm-slim", "debian:bookworm", "python:3.11-slim-bookworm", "python:3.11-slim")
PULL_SILENCE_S = 15
PULL_LIMIT_S = 180
# The oldest glibc of a base above is 2.36, so wheels for anything up to it run there.
WHEEL_PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_34")

Files = Mapping[str, bytes]


def ensure_image(
    client: DockerClient, image: NodeImage, progress: Progress, stop: threading.Event | None = None
) -> str:
    """The tag of the system's node image; builds what is missing of it.

    That takes about a minute the first time, and seconds after that. stop: set it from another thread to give up.
    Raises EnvironmentFailure where a layer can't be built.
    """
    stop = stop or threading.Event()
    recipe = {path.name: path.read_bytes() for path in LAYERS.iterdir() if path.is_file()}
    needs = _pinned(image.python)
    root = {"etc/ssh/sshd_config": recipe["sshd_config"], **{n.lstrip("/"): c for n, c in image.files.items()}}
    files = {f"root/{name}": content for name, content in root.items()}
    base = _tag("base", "", DEBIAN_PACKAGES, {n: recipe[n] for n in ("base.sh", "base.Dockerfile")})
    added = {n: recipe[n] for n in ("extend.sh", "debian.Dockerfile")}
    debian = _tag("debian", base, image.debian, added) if image.debian else base
    packages = _tag("packages", debian, needs, {n: recipe[n] for n in ("packages.Dockerfile",)}) if needs else debian
    executables = tuple(f"root/{name.lstrip('/')}" for name in image.executables)
    sources = {name: recipe[name] for name in shim_build.SOURCES}
    dockerfiles = {name: recipe[name] for name in ("shims.Dockerfile", "compile.Dockerfile")}
    shims = _tag("shims", packages, shim_build.FLAGS, {**sources, **dockerfiles})
    node = _tag("node", shims, executables, {**files, "node.Dockerfile": recipe["node.Dockerfile"]})
    if _present(client, node):
        return node
    if not _present(client, shims):
        if not _present(client, packages):
            if not _present(client, debian):
                if not _present(client, base):
                    _build_base(client, base, DEBIAN_PACKAGES, recipe, progress, stop)
                if image.debian:
                    _build_debian(client, debian, base, image.debian, recipe, progress, stop)
            if needs:
                progress(f"image: fetching {', '.join(needs)} for the nodes")
                wheels = _packages(client, debian, needs)
                _build(client, packages, recipe["packages.Dockerfile"], wheels, {"FROM": debian}, stop)
        progress("image: compiling what is preloaded into programs")
        _build_shims(client, shims, packages, sources, dockerfiles, stop)
    progress("image: adding the system's files")
    _build(client, node, recipe["node.Dockerfile"], files, {"FROM": shims}, stop, executables)
    return node


def _build_shims(
    client: DockerClient, tag: str, below: str, sources: Files, dockerfiles: Files, stop: threading.Event
) -> None:
    if shim_build.compilable(client, below):
        libraries = shim_build.compiled(sources)
        return _build(client, tag, dockerfiles["shims.Dockerfile"], libraries, {"FROM": below}, stop)
    arguments = {"FROM": below, "FLAGS": " ".join(shim_build.FLAGS)}
    try:
        return _build(client, tag, dockerfiles["compile.Dockerfile"], sources, arguments, stop)
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


def _tag(layer: str, below: str, words: Iterable[str], files: Files) -> str:
    digest = hashlib.sha256(repr((below, tuple(words), sorted(files.items()))).encode()).hexdigest()
    return f"splitbrain-{layer}:{digest[:12]}"


def _present(client: DockerClient, tag: str) -> bool:
    with refusals(f"look for the image {tag}"):
        try:
            client.images.get(tag)
        except ImageNotFound:
            return False
        return True


def _build_base(
    client: DockerClient, tag: str, debian: Sequence[str], recipe: Files, progress: Progress, stop: threading.Event
) -> None:
    found = next((name for name in BASES if _present(client, name)), None) or _pull(BASES[0], progress, stop)
    if found:
        progress(f"image: installing {', '.join(debian)} on {found}")
        arguments = {"FROM": found, "PACKAGES": " ".join(debian)}
        try:
            return _build(client, tag, recipe["base.Dockerfile"], {}, arguments, stop)
        except EnvironmentFailure as failure:
            # A build may be cut off from the mirrors that the machine itself can reach.
            progress(f"image: {failure}")
    _debootstrap(client, tag, debian, progress, stop)
    return None


def _pull(name: str, progress: Progress, stop: threading.Event) -> str | None:
    """Pull an image, for a bounded time; None if that fails."""
    repository, _, tag = name.partition(":")
    progress(f"image: pulling {name}")
    deadline = time.monotonic() + PULL_LIMIT_S
    try:
        for line in connect(PULL_SILENCE_S).api.pull(repository, tag=tag, stream=True, decode=True):
            if "error" in line:
                raise DockerException(line["error"])
            if stop.is_set() or time.monotonic() > deadline:
                raise DockerException(f"not done within {PULL_LIMIT_S} s")
    except Exception as error:  # whatever it was, there is another way to a base
        progress(f"image: {name} can't be pulled ({' '.join(str(error).split())[:160]})")
        return None
    return name


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
        return _build(client, tag, recipe["debian.Dockerfile"], {}, arguments, stop)
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


def _packages(client: DockerClient, base: str, needs: Iterable[str]) -> Files:
    """What the system's nodes import, as files for the Python inside the base."""
    with refusals(f"ask {base} for its Python"):
        asked = "import platform, sys; print(*sys.version_info[:2], platform.machine())"
        said = client.containers.run(base, ["python3", "-c", asked], remove=True, network_mode="none")
    major, minor, machine = said.decode().split()
    with tempfile.TemporaryDirectory(prefix="splitbrain-packages-") as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--only-binary=:all:"]
        command += ["--target", folder, "--implementation", "cp", "--python-version", f"{major}.{minor}"]
        command += [argument for p in WHEEL_PLATFORMS for argument in ("--platform", f"{p}_{machine}")]
        done = subprocess.run([*command, *needs], capture_output=True, text=True)
        if done.returncode != 0:
            last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
            raise EnvironmentFailure(
                f"pip can't fetch {', '.join(needs)} for the nodes: {last}; "
                "check that pip works here (`python -m pip download msgspec`)"
            )
        return {
            f"packages/{p.relative_to(folder).as_posix()}": p.read_bytes()
            for p in sorted(Path(folder).rglob("*"))
            if p.is_file()
        }


def _build(
    client: DockerClient,
    tag: str,
    dockerfile: bytes,
    files: Files,
    arguments: Mapping[str, str],
    stop: threading.Event,
    executables: Collection[str] = (),
) -> None:
    context = _context({**files, "Dockerfile": dockerfile}, executables)
    with refusals(f"build the image {tag}"):
        for line in client.api.build(
            fileobj=context, custom_context=True, tag=tag, buildargs=dict(arguments), decode=True, rm=True, forcerm=True
        ):
            if "error" in line:
                raise BuildError(" ".join(str(line["error"]).split()), iter(()))
            if stop.is_set():
                raise BuildError("interrupted", iter(()))


def _context(files: Files, executables: Collection[str] = ()) -> IO[bytes]:
    """A build context in memory; equal files give equal bytes, so that the engine's own cache holds."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mode = 0o755 if name in executables else 0o644
            tar.addfile(entry, io.BytesIO(content))
    buffer.seek(0)
    return buffer


def main(say: Callable[[str], None] = print) -> int:
    """`python -m splitbrain.harness.hosts.image`: build every system's image, with progress. 0, or 3 if it can't be."""
    try:
        for name in names(SYSTEMS):
            with contextlib.suppress(UnknownName):  # Its client is not installed here, so nobody can run it.
                say(f"image: {ensure_image(connect(), system(name).image(), say)} is ready, for {name}")
    except EnvironmentFailure as failure:
        say(f"splitbrain: {failure}")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
