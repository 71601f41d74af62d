"""Node images that nothing needs any more are removed, and no other."""

from __future__ import annotations

import io
from dataclasses import astuple

import pytest
from docker.client import DockerClient

from splitbrain.harness.catalogue import system
from splitbrain.harness.hosts.containers import unneeded_images
from splitbrain.harness.hosts.containers.image import ensure_image, layers_of
from splitbrain.harness.system import NodeImage

REPOSITORY = "splitbrain-test-unneeded"


def test_every_layer_of_a_registered_system_is_needed() -> None:
    needed = unneeded_images._needed()
    for image in (NodeImage(), system("dynamo").image(), system("etcd").image()):
        assert set(astuple(layers_of(image))) <= needed
    assert layers_of(NodeImage(debian=("cowsay",))).node not in needed


def test_an_image_goes_unless_it_is_needed_or_in_use(
    docker_engine: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = ensure_image(docker_engine, NodeImage(), print)
    for tag in ("needed", "old", "older", "used"):
        recipe = io.BytesIO(f"FROM {node}\nLABEL of={tag}".encode())
        docker_engine.images.build(fileobj=recipe, tag=f"{REPOSITORY}:{tag}", rm=True)
    container = docker_engine.containers.create(f"{REPOSITORY}:used", ["true"])
    monkeypatch.setattr(unneeded_images, "LAYERS", ("test-unneeded",))
    monkeypatch.setattr(unneeded_images, "_needed", lambda: {f"{REPOSITORY}:needed"})
    try:
        removed = unneeded_images.remove_unneeded_images(docker_engine)
        assert removed == [f"image {REPOSITORY}:old", f"image {REPOSITORY}:older"]
        left = {tag for image in docker_engine.images.list(name=REPOSITORY) for tag in image.tags}
        assert left == {f"{REPOSITORY}:needed", f"{REPOSITORY}:used"}
    finally:
        container.remove()
        for tag in ("needed", "used"):
            docker_engine.images.remove(f"{REPOSITORY}:{tag}")
