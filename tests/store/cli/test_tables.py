"""Tables: what a person sees, on a terminal and in a file, whatever a node reports."""

from __future__ import annotations

import io

import pytest

from splitbrain.store.cli.tables import Table, cell, draw, status_tables, table

STATUS = {
    "name": "n1",
    "config": {"n": "3", "r": "2", "w": "2", "partitions": "64"},
    "ring": {"members": {"n1": "10.0.0.1:7000", "n2": "10.0.0.2:7000"}, "partitions": {"n1": 32, "n2": 32}},
    "peers": {"n2": {"state": "suspected", "silent_s": 3.25, "says": None}},
    "hints": {"n2": 5},
    "counters": {},
    "latency_ms": {"get": {"p50": 1.5, "p99": 20.0}},
    "kernel_drops": 0,
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, tables, out):
    monkeypatch.setattr("sys.stdout", out)
    draw(tables)
    return out.getvalue()


def test_in_a_file_a_status_is_aligned_text_that_nothing_is_cut_off_from(monkeypatch):
    text = shown(monkeypatch, status_tables(STATUS, verbose=False), io.StringIO())
    assert "n2  suspected  3.25" in text
    assert "n1  10.0.0.1:7000  32" in text
    assert "n2  5" in text
    assert "get  1.5  20" in text
    assert "partitions  64" not in text
    assert "─" not in text and "\x1b" not in text
    long = shown(monkeypatch, [table("", ("a",), [["x" * 500]])], io.StringIO())
    assert "x" * 500 in long


def test_on_a_terminal_a_status_is_drawn_in_boxes(monkeypatch):
    text = shown(monkeypatch, status_tables(STATUS, verbose=False), Terminal())
    assert "│" in text and "suspected" in text


def test_configuration_and_merkle_roots_are_shown_with_verbose_only():
    titles = {each.title for each in status_tables({**STATUS, "merkle": {"0": {"root": "ab"}}}, verbose=True)}
    assert {"config", "merkle"} <= titles
    titles = {each.title for each in status_tables({**STATUS, "merkle": {"0": {"root": "ab"}}}, verbose=False)}
    assert not {"config", "merkle"} & titles


@pytest.mark.parametrize("part", [{}, {"a": 1}, {"a": {}}, {"a": {"b": 1}, "c": 2}, [], [1, 2], None, "x", {"a": [1]}])
def test_parts_that_this_version_does_not_know_are_shown_as_they_are(monkeypatch, part):
    assert "n1" in shown(monkeypatch, status_tables({"name": "n1", "new": part}, verbose=False), io.StringIO())
    assert "n1" in shown(monkeypatch, status_tables({"name": "n1", "new": part}, verbose=False), Terminal())


def test_balance_has_a_row_for_each_node_and_merkle_roots_one_for_each_partition(monkeypatch):
    balance = {"by": "ring", "nodes": {"n1": {"keys": 3, "balanced": True}, "n2": {"keys": None, "balanced": False}}}
    merkle = {"roots": {"0": "ab", "1": "cd"}, "unfinished": 0}
    text = shown(monkeypatch, status_tables({"balance": balance, "merkle": merkle}, verbose=True), io.StringIO())
    lines = [line.split() for line in text.splitlines()]
    assert all(row in lines for row in (["n1", "3", "yes"], ["n2", "-", "no"], ["0", "ab"], ["1", "cd"]))


def test_a_status_without_any_part_is_no_error(monkeypatch):
    assert shown(monkeypatch, status_tables({}, verbose=True), io.StringIO()).strip() == ""


def test_what_another_machine_calls_itself_is_neither_markup_nor_a_command_to_the_terminal(monkeypatch):
    evil = {"name": "[red]n1[/red]\x1b[2J\n", "ring": {"members": {"\x1b]0;x\x07": "a"}}}
    for out in (io.StringIO(), Terminal()):
        text = shown(monkeypatch, status_tables(evil, verbose=False), out)
        assert "[red]n1[/red]" in text
        assert "\x1b[2J" not in text and "\x07" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        (1.0, "1"),
        (0.12345, "0.123"),
        (0.0, "0"),
        ([], "-"),
        (["a", 1], "a, 1"),
        ({"a": 1}, "a=1"),
        ("a\tb", "a\\tb"),
        ("é", "é"),
    ],
)
def test_a_cell_is_one_printable_line(value, text):
    assert cell(value) == text


def test_tables_without_rows_are_left_out(monkeypatch):
    tables = [Table("empty", ("a",), ()), table("full", ("a",), [[1]])]
    assert shown(monkeypatch, tables, io.StringIO()) == "full\na\n1\n"
