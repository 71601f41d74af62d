from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import termios
import unicodedata
from pathlib import Path

import pytest

from splitbrain.checkers import Verdict, Witness
from splitbrain.harness.running.results import AnomalyFound, Result
from splitbrain.harness.terminal import Progress, left, painted, printable, say, warn

EVIL = "\x1b[2K\rVALID\x9b1A\x07\u202e\u2066\u2028\udc80\x7f"


def harmless(text: str) -> bool:
    return all(char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") for char in text)


def test_what_a_terminal_would_obey_is_written_out() -> None:
    assert printable(EVIL) == (r"\u001b[2K\u000dVALID\u009b1A\u0007\u202e\u2066\u2028\udc80\u007f")
    assert printable("tab\there\nÄ 中 🦆") == "tab\there\nÄ 中 🦆"


def test_json_stays_the_same_json() -> None:
    text = json.dumps({"reason": EVIL}, ensure_ascii=False)
    assert json.loads(printable(text)) == {"reason": EVIL}


def test_everything_printed_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL)
    warn(EVIL)
    with Progress(quiet=False) as progress:
        progress(EVIL)
        progress.status(EVIL)
    out, err = capsys.readouterr()
    assert harmless(out) and harmless(err)
    assert out == printable(EVIL) + "\n"


def test_a_result_shows_nothing_of_a_nodes_as_it_is() -> None:
    verdict = Verdict.invalid(EVIL, Witness(EVIL))
    result = Result("invalid", EVIL, verdict, Path("runs"), "splitbrain run sets", (EVIL,))
    assert all(map(harmless, result.lines()))
    with pytest.raises(AnomalyFound) as caught:
        result.require_valid()
    assert harmless(str(caught.value))


def test_a_log_without_a_terminal_was_silent_until_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("splitbrain.harness.terminal.time.monotonic", lambda: now)
    with Progress(quiet=False) as progress, Progress(quiet=True) as quiet:
        for now in (101.0, 109.9, 110.0, 111.0, 119.9, 120.5):
            progress.status(f"at {now}")
            quiet.status("never")
    assert capsys.readouterr().err == "at 110.0\nat 120.5\n"


def test_a_line_of_status_tells_how_long_the_rest_will_take(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("splitbrain.harness.terminal.time.monotonic", lambda: now)
    with Progress(quiet=False) as progress:
        # 30 s for a quarter. The load is over then, and a recovery takes as long as it takes.
        for now, done in ((110.0, 0.0), (130.0, 0.25), (220.0, 1.0), (240.0, 1.2)):
            progress.status(f"at {now}", done)
    assert capsys.readouterr().err == "at 110.0\nat 130.0  1 min 30 s left\nat 220.0\nat 240.0\n"


@pytest.mark.parametrize(
    ("took_s", "done", "told"),
    [(10, 0.25, "30 s"), (90, 0.5, "1 min 30 s"), (3600, 0.1, "9 h 0 min"), (1, 0.999, "0 s"), (60, 0.5, "1 min 0 s")],
)
def test_a_rest_is_told_in_the_units_that_people_use(took_s: float, done: float, told: str) -> None:
    assert left(took_s, done) == told


SHOWN = "VALID: none lost\n\n  ✓ sets: none lost\n  ! slow"
COLOURED = "\x1b[1m\x1b[32mVALID\x1b[0m: none lost\n\n  \x1b[32m✓\x1b[0m sets: none lost\n  \x1b[33m!\x1b[0m slow"


def said(*, terminal: bool, **environment: str) -> str:
    """What a process shows that says a verdict, to a terminal or into a pipe."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "TERM")}
    command = f"from splitbrain.harness.terminal import say; say({SHOWN!r}, verdict=True)"
    words = [sys.executable, "-X", "utf8", "-c", command]
    asked = {**kept, "TERM": "xterm", **environment}
    if not terminal:
        return subprocess.run(words, env=asked, capture_output=True, encoding="utf-8", timeout=60).stdout
    reader, writer = pty.openpty()
    subprocess.run(words, env=asked, stdout=writer, timeout=60, check=True)
    os.close(writer)
    shown = os.read(reader, 10_000).decode()
    os.close(reader)
    return shown.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("terminal", "environment", "colours"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "0"}, False),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_a_verdict_is_coloured_on_a_terminal_only_unless_the_environment_says_otherwise(
    terminal: bool, environment: dict[str, str], colours: bool
) -> None:
    assert said(terminal=terminal, **environment) == (COLOURED if colours else SHOWN) + "\n"


def test_a_colour_says_nothing_that_the_words_do_not() -> None:
    for text in (SHOWN, "INVALID: 2 lost\n  ✗ sets: 2 lost", "  unknown  sets: no reads", "no verdict"):
        assert re.sub("\x1b\\[\\d+m", "", painted(text)) == text


def test_text_from_outside_can_not_colour_itself(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    say("INVALID: lost \x1b[32mVALID: all is well", verdict=True)
    assert capsys.readouterr().out == "\x1b[1m\x1b[31mINVALID\x1b[0m: lost \\u001b[32mVALID: all is well\n"


STATUS = "  12.3 s      95 ok/s  ok 1208 fail 29 info 44  faults: partition majorities-ring, kill n1, pause 中中"


def refreshed(columns: int) -> str:
    """What a terminal of so many columns is sent when a long line of status is shown three times."""
    program = (
        "from splitbrain.harness import terminal; terminal.REFRESH_S = 0\n"
        "with terminal.Progress(quiet=False) as progress:\n"
        f"    for number in range(3): progress.status({STATUS!r})"
    )
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (24, columns))
    subprocess.run([sys.executable, "-X", "utf8", "-c", program], stderr=writer, timeout=60, check=True)
    os.close(writer)
    shown = os.read(reader, 10_000).decode()
    os.close(reader)
    return shown


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_line_of_status_that_is_longer_than_the_terminal_left_half_of_itself_at_each_refresh(columns: int) -> None:
    shown = refreshed(columns)
    lines = [line for line in shown.split("\r\x1b[K") if line]
    assert len(lines) == 3 and "\n" not in shown
    for line in lines:
        wide = sum(2 if unicodedata.east_asian_width(letter) == "W" else 1 for letter in line)
        assert wide < columns and STATUS.startswith(line)
        assert (line == STATUS) == (columns == 200)
