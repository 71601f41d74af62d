"""Compiling what runs on nodes: the shims that are preloaded into programs, and the first process of stock images.

1. They are linked against nothing. So what is compiled here runs with any libc of the same architecture.
2. Here first: it takes a moment, and a build in the engine may be cut off from package mirrors. Where there is no
   compiler, or the nodes are of another architecture, the engine compiles them in a stage that the image does not keep.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from docker.client import DockerClient

from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.containers.engine import refusals

SOURCES = ("clock_shim.c", "disk_shim.c")
IDLE = "idle.c"
FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-shared", "-nostdlib", "-fno-stack-protector")
IDLE_FLAGS = ("-std=gnu11", "-O2", "-static", "-nostdlib", "-fno-stack-protector", "-fno-asynchronous-unwind-tables")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def compilable(client: DockerClient, image: str) -> bool:
    """Whether the compiler of this machine makes what runs in that image."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        return False
    with refusals(f"ask for the architecture of {image}"):
        return _MACHINES.get(str(client.images.get(image).attrs["Architecture"])) == platform.machine()


def compiled(sources: Mapping[str, bytes]) -> dict[str, bytes]:
    """The shared libraries made of these C sources, and the program made of `IDLE`, by name.

    Raises EnvironmentFailure with what the compiler said.
    """
    libraries = {}
    with tempfile.TemporaryDirectory(prefix="splitbrain-shims-") as folder:
        for name, text in sources.items():
            idle = name == IDLE
            source, library = Path(folder) / name, Path(folder) / name.replace(".c", "" if idle else ".so")
            source.write_bytes(text)
            flags = IDLE_FLAGS if idle else FLAGS
            done = subprocess.run(["cc", *flags, "-o", library, source], capture_output=True, text=True)
            if done.returncode != 0:
                raise EnvironmentFailure(
                    f"{name} can't be compiled here: {(done.stderr.strip() or 'cc said nothing').splitlines()[0]}; "
                    "install gcc with its headers (`apt-get install gcc libc6-dev`)"
                )
            libraries[library.name] = library.read_bytes()
    return libraries
