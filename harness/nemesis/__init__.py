"""The nemesis: fault families, combined into one package for a run.

    package = fault_package(["partition", "kill"], nodes, seed=seed, time_limit_s=60, commands_s=0.1)
    package.requires; package.generator, package.final; package.nemesis(environment, system)

Begin reading at `fault_family` and `package`. `partitions` and `processes` hold the families, `families` their
catalogue, `turns` the schedule.
"""

from splitbrain.harness.nemesis.families import catalogue, fault_package
from splitbrain.harness.nemesis.fault_family import FaultFamily
from splitbrain.harness.nemesis.package import FaultPackage

__all__ = ["FaultFamily", "FaultPackage", "catalogue", "fault_package"]
