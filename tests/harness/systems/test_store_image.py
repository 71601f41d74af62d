"""What a node of the reference store is made of."""

from __future__ import annotations

import sys

from docker.client import DockerClient

from splitbrain.harness.hosts.containers.image import ensure_image
from splitbrain.harness.systems.dynamo.store_image import NEEDS, image
from tests.house import SOURCES, module_of
from tests.test_house import imports


def test_what_the_store_imports_is_in_the_image_of_its_nodes() -> None:
    store = [path for path in SOURCES if module_of(path).split(".")[0] == "store"]
    imported = {name.split(".")[0] for path in store for name in imports(path)}
    assert imported - set(sys.stdlib_module_names) - {"splitbrain"} == set(NEEDS)


def test_the_node_s_store_is_the_one_that_is_imported_here(docker_engine: DockerClient) -> None:
    tag = ensure_image(docker_engine, image(), print)

    def said(*command: str) -> str:
        output: bytes = docker_engine.containers.run(tag, list(command), remove=True, network_mode="none")
        return output.decode()

    assert "serve" in said("splitbrain-store", "--help")
    where = said("python3", "-c", "import splitbrain.store as store; print(store.__file__)")
    assert where.startswith("/opt/splitbrain/splitbrain/store/")
