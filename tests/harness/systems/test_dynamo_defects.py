"""The reference store publishes its defects with what switches them on."""

from __future__ import annotations

from splitbrain.harness.system import defects_of
from splitbrain.harness.systems.dynamo import SYSTEM
from splitbrain.store.defects import DEFECTS


def test_every_defect_of_the_store_is_published_and_is_switched_on_by_its_configuration() -> None:
    published = defects_of(SYSTEM)
    assert published.keys() == DEFECTS.keys()
    for name, mutant in published.items():
        assert (mutant.summary, mutant.source) == (DEFECTS[name].wrong, DEFECTS[name].seen)
        configured = SYSTEM.configure(mutant.config, seed=0, nodes=5)
        assert configured.config["defect"] == name


def test_a_system_without_the_attribute_has_none() -> None:
    class Plain:
        name = "plain"

    assert defects_of(Plain()) == {}  # type: ignore[arg-type]
