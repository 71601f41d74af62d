"""Which checkers' mutants are judged, by which tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_ORACLES = "tests/checkers/test_oracles.py::test_a_checker_agrees_with_its_oracle"
_EVENTUAL = (
    "tests/checkers/eventual/test_golden_eventual.py",
    "tests/checkers/eventual/test_lost_elements.py",
    "tests/checkers/eventual/test_lost_versions.py",
    "tests/checkers/eventual/test_lost_writes.py",
    f"{_ORACLES}[lost-writes]",
    # It starts processes of its own, which know of no mutant.
    "--deselect=tests/checkers/eventual/test_lost_elements.py::test_the_witness_is_the_same_whatever_the_order_of_a_set_of_strings_is",
)

TARGETS: Mapping[str, Sequence[str]] = {
    "checkers/linearizability/polynomial/zones.py": (
        "tests/checkers/linearizability/polynomial/test_zones.py",
        f"{_ORACLES}[linearizable by zones]",
        f"{_ORACLES}[linearizable initial, by zones]",
    ),
    "checkers/eventual/lost_elements.py": _EVENTUAL,
    "checkers/eventual/element_reads.py": _EVENTUAL,
    "checkers/eventual/lost_versions.py": _EVENTUAL,
    "checkers/eventual/register_fates.py": _EVENTUAL,
    "checkers/eventual/acknowledged.py": _EVENTUAL,
    "checkers/service/evidence.py": (
        "tests/checkers/service/test_evidence.py",
        "tests/checkers/service/test_golden_service.py",
        "tests/checkers/service/test_progress.py",
        "tests/checkers/service/test_write_outage.py",
        f"{_ORACLES}[evidence]",
    ),
}
"""By file, its tests, those that find most first."""
