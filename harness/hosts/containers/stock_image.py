"""Nodes of somebody else's image: a stock one by name, or one that is built of a user's own Dockerfile.

1. The image is taken as it is. One layer is added: a first process that waits, the shims, and the system's files.
2. What is not on this machine is pulled once, before the start, for a bounded time. Nothing is pulled during a run.
3. A Dockerfile is built again when something in its folder changed that `.dockerignore` does not leave out.
4. Programs start with the image's own environment variables. Its entrypoint, user and working folder are not used, for
   the system says what is started.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path

from docker.client import DockerClient
from docker.errors import BuildError
from docker.utils.build import exclude_paths

from splitbrain.harness.environment import EnvironmentFailure, Progress
from splitbrain.harness.hosts.containers.engine import refusals
from splitbrain.harness.hosts.containers.layer import build, present, pull, tag_of
from splitbrain.harness.system import NodeImage

IDLE = "/usr/local/lib/splitbrain/idle"
"""What waits as a node's first process."""
_DOCKERFILE = """
ARG FROM
ARG BESIDE
FROM ${BESIDE} AS beside
FROM ${FROM}
COPY --from=beside /usr/local/lib/splitbrain /usr/local/lib/splitbrain
"""


@dataclass(frozen=True, slots=True)
class StockImage:
    """An image to start nodes from. variables: its environment, as "NAME=value"."""

    tag: str
    variables: tuple[str, ...]


def ensure_stock(
    client: DockerClient, image: NodeImage, beside: str, progress: Progress, stop: threading.Event
) -> StockImage:
    """The image with what nodes need added; builds what is missing of it.

    beside: the tag of the sidecars' image. stop: set it from another thread to give up. Raises EnvironmentFailure: not
    on this machine and not to be pulled, a Dockerfile that is missing or can't be built.
    """
    found = _built(client, Path(image.dockerfile), progress, stop) if image.dockerfile else image.stock
    if not present(client, found) and pull(found, progress, stop) is None:
        raise EnvironmentFailure(
            f"the image {found} is not on this machine and can't be pulled; `docker pull {found}` shows why, "
            "and `docker load` or `docker import` bring it from a file"
        )
    with refusals(f"look at the image {found}"):
        attributes = client.images.get(found).attrs
    files = {f"root/{name.lstrip('/')}": content for name, content in image.files.items()}
    executables = tuple(f"root/{name.lstrip('/')}" for name in image.executables)
    dockerfile = _DOCKERFILE + ("COPY root/ /\n" if files else "")
    tag = tag_of("stock", attributes["Id"], (beside, dockerfile, *executables), files)
    if not present(client, tag):
        progress(f"image: adding an idle first process to {found}")
        build(client, tag, dockerfile.encode(), files, {"FROM": found, "BESIDE": beside}, stop, executables)
    return StockImage(tag, tuple(attributes["Config"]["Env"] or ()))


def _built(client: DockerClient, path: Path, progress: Progress, stop: threading.Event) -> str:
    """The tag of a user's Dockerfile, built if it or its folder changed."""
    dockerfile = path / "Dockerfile" if path.is_dir() else path
    if not dockerfile.is_file():
        raise EnvironmentFailure(f"there is no Dockerfile at {path}; give its path, or that of its folder")
    folder = dockerfile.resolve().parent
    tag = f"splitbrain-own:{_digest(folder, dockerfile.name)}"
    if present(client, tag):
        return tag
    progress(f"image: building {dockerfile}")
    with refusals(f"build {dockerfile}"):
        for line in client.api.build(
            path=str(folder), dockerfile=dockerfile.name, tag=tag, decode=True, rm=True, forcerm=True
        ):
            said = " ".join(str(line.get("error") or line.get("stream") or "").split())
            if "error" in line:
                raise BuildError(said, iter(()))
            if stop.is_set():
                raise BuildError("interrupted", iter(()))
            if said.startswith("Step "):
                progress(f"image: {said[:100]}")
    return tag


def _digest(folder: Path, dockerfile: str) -> str:
    """A hash of all that goes into a build: names, modes and contents."""
    ignored = folder / ".dockerignore"
    patterns = ignored.read_text().splitlines() if ignored.is_file() else []
    digest = hashlib.sha256(dockerfile.encode())
    for name in sorted(exclude_paths(str(folder), patterns, dockerfile=dockerfile)):
        path = folder / name
        digest.update(repr((name, path.lstat().st_mode)).encode())
        if path.is_symlink():
            digest.update(str(path.readlink()).encode())
        elif path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:12]
