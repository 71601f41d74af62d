"""The versions of Debian packages, as the nodes' images have them."""

from __future__ import annotations

import contextlib

from splitbrain.harness.catalogue import SYSTEMS, UnknownName, names, system
from splitbrain.harness.hosts.containers.engine import connect
from splitbrain.harness.hosts.containers.image import ensure_image


def versions(packages: list[str]) -> dict[str, str]:
    """By package: `redis-server 5:7.0.15-1~deb12u10`. What no image has is left out."""
    client = connect()
    found: dict[str, str] = {}
    for name in names(SYSTEMS):
        with contextlib.suppress(UnknownName):
            image = system(name).image()
            wanted = [package for package in packages if package in image.debian and package not in found]
            if not wanted:
                continue
            tag = ensure_image(client, image, lambda line: None)
            command = ["dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *wanted]
            said = client.containers.run(tag, command, remove=True, network_mode="none").decode()
            found |= {line.split()[0]: line for line in said.splitlines()}
    return found
