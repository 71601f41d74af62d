"""Each row of rows.toml comes out as it says: what was published is found again, in containers.

Run by `pytest -m findings` (nightly); the rows marked for it by `make test` too, with their first seed.
"""

from __future__ import annotations

import pytest

from splitbrain.harness.running.run import run
from tests.findings.rows import Row, read_rows

ROWS = read_rows()


@pytest.mark.findings
@pytest.mark.parametrize("row", [row for row in ROWS if not row.ci], ids=lambda row: row.id)
def test_a_finding_comes_out(row: Row, docker_engine, tmp_path):
    assert_comes_out(row, tmp_path)


@pytest.mark.parametrize("row", [row for row in ROWS if row.ci], ids=lambda row: row.id)
def test_a_finding_comes_out_in_ci(row: Row, docker_engine, tmp_path):
    assert_comes_out(row, tmp_path)


def test_every_row_says_what_is_known_and_from_whom():
    assert len({row.id for row in ROWS}) == len(ROWS)
    assert all(row.published and row.source and row.made_of and row.cases for row in ROWS)
    valid = [row for row in ROWS if row.cases[0].expect == "valid"]
    assert all(len(row.cases) >= 20 for row in valid), "what must be valid is run with twenty seeds"
    assert {row.cases[0].expect for row in ROWS if row.ci} == {"valid", "invalid"}


def assert_comes_out(row: Row, folder):
    case = row.cases[0]
    result = run(case.experiment, out=folder)
    assert result.status == case.expect, result.explanation()
