"""What an SQL session says of a transaction that went wrong: definite until the COMMIT is sent, open from then on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from splitbrain.harness.system import OperationFailed
from splitbrain.harness.systems.kit import Failure
from splitbrain.harness.systems.sql.sql_session import TABLES, SqlSession, table_of


class Torn(Exception):
    """The connection went away."""


class RolledBack(Exception):
    """The server's own word."""


class Scripted(SqlSession[int]):
    """A session whose server keeps nothing, and fails at statements that begin so."""

    upsert = append = "INSERT INTO {table} VALUES (%s, %s)"
    kept = ""
    failures: ClassVar[Sequence[Failure]] = (
        Failure(RolledBack, "serialization", definite=True),
        Failure(Torn, "connection-lost"),
    )

    def __init__(self, fails: Mapping[str, Exception], rows: Sequence[Sequence[Any]] = ()) -> None:
        self._fails, self._rows = fails, rows
        self.opened = 0
        self.sent: list[str] = []

    async def open(self) -> int:
        self.opened += 1
        return self.opened

    async def query(self, raw: int, statement: str, *values: Any) -> list[Sequence[Any]]:
        word = statement.split()[0]
        self.sent.append(word)
        if word in self._fails:
            raise self._fails[word]
        return list(self._rows) if word == "SELECT" else []


def failure(session: Scripted, *micro_operations: Sequence[Any]) -> OperationFailed:
    with pytest.raises(OperationFailed) as raised:
        asyncio.run(session.transact(micro_operations))
    return raised.value


def test_what_fails_before_the_commit_is_definite_and_rolled_back() -> None:
    session = Scripted({"INSERT": RolledBack()})
    assert failure(session, ["append", "x", 1]).definite
    assert session.sent == ["BEGIN", "INSERT", "ROLLBACK"]


def test_a_connection_that_is_lost_before_the_commit_has_done_nothing() -> None:
    assert failure(Scripted({"INSERT": Torn()}), ["append", "x", 1]).definite


def test_a_connection_that_is_lost_during_the_commit_leaves_the_outcome_open() -> None:
    session = Scripted({"COMMIT": Torn()})
    assert not failure(session, ["append", "x", 1]).definite
    assert not failure(session, ["append", "x", 2]).definite
    assert session.opened == 2


def test_a_commit_that_the_server_says_it_rolled_back_is_definite() -> None:
    session = Scripted({"COMMIT": RolledBack()})
    assert failure(session, ["append", "x", 1]).definite
    failure(session, ["append", "x", 2])
    assert session.opened == 1


@pytest.mark.parametrize(("stored", "read"), [(",4,2", [4, 2]), (",4", [4]), ("42", 42)])
def test_a_list_is_told_from_a_register_even_if_it_has_one_element(stored: str, read: Any) -> None:
    session = Scripted({}, [[stored]])
    assert asyncio.run(session.transact([["r", "x", None]])) == [["r", "x", read]]


def test_a_row_never_written_reads_as_null() -> None:
    assert asyncio.run(Scripted({}).transact([["r", "x", None]])) == [["r", "x", None]]


def test_a_transfer_that_would_overdraw_is_refused_and_rolled_back() -> None:
    session = Scripted({}, [[3]])
    with pytest.raises(OperationFailed, match="a0 has 3, not 4") as raised:
        asyncio.run(session.transfer("a0", "a1", 4))
    assert raised.value.definite
    assert session.sent[-1] == "ROLLBACK"


def test_rows_are_spread_over_all_tables() -> None:
    assert {table_of(f"x{number}") for number in range(50)} == {f"rows{number}" for number in range(TABLES)}
