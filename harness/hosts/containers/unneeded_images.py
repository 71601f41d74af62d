"""Node images that nothing here needs any more: of earlier versions of the harness, of systems, of their packages.

1. An image is needed if a system that is registered here stands on it, today.
2. What a container uses is kept, and what is kept keeps all it stands on.
3. A system in a file of its own is not registered: its image is removed, and its next run builds it again, in seconds.
"""

from __future__ import annotations

import contextlib
from dataclasses import astuple

from docker.client import DockerClient
from docker.errors import APIError, ImageNotFound

from splitbrain.harness.catalogue import SYSTEMS, UnknownName, names, system
from splitbrain.harness.environment import EnvironmentFailure
from splitbrain.harness.hosts.containers.engine import connect, refusals
from splitbrain.harness.hosts.containers.image import layers_of
from splitbrain.harness.system import NodeImage

# From the top down, since an image that another one stands on is not to be removed.
LAYERS = ("stock", "own", "node", "shims", "packages", "debian", "base")


def remove_unneeded_images(client: DockerClient | None = None) -> list[str]:
    """Remove them; returns their tags, as "image splitbrain-node:...". Raises EnvironmentFailure."""
    client = client or connect()
    needed = _needed()
    removed = []
    with refusals("remove images that are not needed"):
        for layer in LAYERS:
            tags = [tag for image in client.images.list(name=f"splitbrain-{layer}") for tag in image.tags]
            removed += [f"image {tag}" for tag in sorted(set(tags) - needed) if _remove(client, tag)]
    return removed


def _needed() -> set[str]:
    """The tags of all layers of all registered systems; of what the sidecars of stock images run, too."""
    images = [NodeImage()]
    for name in names(SYSTEMS):
        with contextlib.suppress(UnknownName):  # Its client is not installed here, so nobody can run it.
            images.append(system(name).image())
    needed: set[str] = set()
    for image in images:
        if not image.foreign:
            with contextlib.suppress(EnvironmentFailure):  # Python packages are missing here: its image is of no use.
                needed.update(astuple(layers_of(image)))
    return needed


def _remove(client: DockerClient, tag: str) -> bool:
    try:
        client.images.remove(tag)
    except ImageNotFound:
        return False  # Somebody else was faster.
    except APIError as error:
        if error.status_code == 409:  # A container uses it.
            return False
        raise
    return True
