"""Images of the engine: looked for, pulled, or built of files in memory.

1. A tag holds a hash of all that goes into its image, so equal inputs are built once.
2. A pull is bounded, in time and in silence, and is shown.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from typing import IO

from docker.client import DockerClient
from docker.errors import BuildError, DockerException, ImageNotFound
from docker.utils import parse_repository_tag

from splitbrain.harness.environment import Progress
from splitbrain.harness.hosts.archive import archive
from splitbrain.harness.hosts.containers.engine import connect, refusals

PULL_SILENCE_S = 15
PULL_LIMIT_S = 180

Files = Mapping[str, bytes]


def tag_of(layer: str, below: str, words: Iterable[str], files: Files) -> str:
    """The tag of what is made of these files and words on top of another image."""
    digest = hashlib.sha256(repr((below, tuple(words), sorted(files.items()))).encode()).hexdigest()
    return f"splitbrain-{layer}:{digest[:12]}"


def present(client: DockerClient, tag: str) -> bool:
    """Whether the engine has it. Raises EnvironmentFailure if it does not say."""
    with refusals(f"look for the image {tag}"):
        try:
            client.images.get(tag)
        except ImageNotFound:
            return False
        return True


def pull(name: str, progress: Progress, stop: threading.Event) -> str | None:
    """Pull an image, for a bounded time. Returns its name, or None if that failed, which is told."""
    repository, tag = parse_repository_tag(name)
    progress(f"image: pulling {name}")
    deadline = time.monotonic() + PULL_LIMIT_S
    try:
        for line in connect(PULL_SILENCE_S).api.pull(repository, tag=tag or "latest", stream=True, decode=True):
            if "error" in line:
                raise DockerException(line["error"])
            if stop.is_set() or time.monotonic() > deadline:
                raise DockerException(f"not done within {PULL_LIMIT_S} s")
    except Exception as error:  # whatever it was, there is another way to a base
        progress(f"image: {name} can't be pulled ({' '.join(str(error).split())[:160]})")
        return None
    return name


def build(
    client: DockerClient,
    tag: str,
    dockerfile: bytes,
    files: Files,
    arguments: Mapping[str, str],
    stop: threading.Event,
    executables: Collection[str] = (),
) -> None:
    """Build an image of a Dockerfile and files, by their names in the context.

    arguments: of the build. stop: set from another thread, it gives up. executables: those of the files with mode 0755.
    Raises EnvironmentFailure with what a step of the build said.
    """
    sent = context({**files, "Dockerfile": dockerfile}, executables)
    with refusals(f"build the image {tag}"):
        for line in client.api.build(
            fileobj=sent, custom_context=True, tag=tag, buildargs=dict(arguments), decode=True, rm=True, forcerm=True
        ):
            if "error" in line:
                raise BuildError(" ".join(str(line["error"]).split()), iter(()))
            if stop.is_set():
                raise BuildError("interrupted", iter(()))


def context(files: Files, executables: Collection[str] = ()) -> IO[bytes]:
    """A build context in memory; equal files give equal bytes, so that the engine's own cache holds."""
    return io.BytesIO(archive(dict(sorted(files.items())), 0o644, executables))
