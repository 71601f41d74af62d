"""MyDb under faults. `pytest --env docker` runs the same in containers."""

import pytest
from mydb import SYSTEM


@pytest.mark.jepsen(nodes=3, faults="partition,kill", seed=1, time_limit_s=20)
def test_registers_are_linearizable(cluster):
    cluster.run("linearizable-register", system=SYSTEM).require_valid()
