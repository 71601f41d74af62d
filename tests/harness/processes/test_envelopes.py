"""Envelopes: what is a message, and what is none."""

from __future__ import annotations

import msgspec
import pytest

from splitbrain.harness.processes.envelopes import Envelope, Malformed, line_of, packed, read, unpacked


def test_a_message_keeps_its_body_as_it_was_written() -> None:
    message = read(b'{"src":"n1","dest":"c2","body": {"type": "echo_ok", "x": 1.0, "y": 1e300}, "more": 1}\r')
    assert (message.src, message.dest) == ("n1", "c2")
    assert bytes(message.body) == b'{"type": "echo_ok", "x": 1.0, "y": 1e300}'


def test_a_line_can_be_read_again() -> None:
    line = line_of(Envelope("n1", "n2", msgspec.Raw(b'{"type":"x"}'), 7))
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert msgspec.json.decode(line) == {"src": "n1", "dest": "n2", "body": {"type": "x"}, "id": 7}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"hello", "malformed"),
        (b"{", "truncated"),
        (b"[1]", "Expected `object`"),
        (b'{"dest":"n1","body":{}}', "`src`"),
        (b'{"src":"n1","body":{}}', "`dest`"),
        (b'{"src":"n1","dest":"n2"}', "`body`"),
        (b'{"src":1,"dest":"n2","body":{}}', "Expected `str`"),
        (b'{"src":"n1","dest":"n2","body":[1]}', "body is no object"),
        (b"\xff\xfe", "malformed"),
        (b'{"src":"n1","dest":"n2","body":{"x":"\xff"}}', "utf-8"),
        (b"[" * 100_000, "no message"),
        (b'{"src":"n1","dest":"n2","body":{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}}", "no message"),
        (b'{"src":"n1","dest":"n2","body":{"x":1e400}}', "out of range"),
        (b'{"src":"n1","dest":"n2","body":{"x":Infinity}}', "malformed"),
    ],
)
def test_what_is_no_message_is_said_in_a_line(line: bytes, why: str) -> None:
    with pytest.raises(Malformed) as caught:
        read(line)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_each_kind_of_malformed_line_is_told_its_own_remedy() -> None:
    message = b'{"src":"n1","dest":"n2","body":{"type":"x"}}'
    for line, remedy in [
        (message + message, "need a lock"),
        (message[:-1] + message, "log to standard error"),
        (message + b" trailing", "need a lock"),
        (b"started on port 80", "log to standard error"),
        (b'{"level":"info"}', "log to standard error"),
    ]:
        with pytest.raises(Malformed, match=remedy):
            read(line)


def test_a_message_of_which_a_bit_was_flipped_is_recognized() -> None:
    sent = packed(77, b'{"type":"x"}')
    assert unpacked(sent) == (77, b'{"type":"x"}')
    for bit in range(8 * len(sent)):
        damaged = bytearray(sent)
        damaged[bit // 8] ^= 1 << bit % 8
        assert unpacked(bytes(damaged)) is None
