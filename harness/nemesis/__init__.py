"""The nemesis: fault families, combined into one package for a run.

    package = fault_package(["partition", "kill"], Targets(nodes), seed=seed, time_limit_s=60, commands_s=0.1)
    package.requires; package.strikes; package.generator, package.final; package.nemesis(environment, system)

Begin reading at `strike`, `fault_family` and `schedule`. The other modules named in the plural hold the families,
`families` is their catalogue, `asked` is what may be chosen of one, `play` performs a schedule.
"""

from splitbrain.harness.nemesis.families import catalogue, families, family_named, fault_package, is_known
from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.nemesis.package import AT_ONCE, FaultPackage
from splitbrain.harness.nemesis.strike import Strike
from splitbrain.harness.nemesis.targets import Targets

__all__ = [
    "AT_ONCE",
    "FaultFamily",
    "FaultPackage",
    "Strike",
    "Targets",
    "catalogue",
    "families",
    "family_named",
    "fault_package",
    "is_known",
]
