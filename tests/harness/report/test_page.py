"""The page: what it says without JavaScript, and that nothing in a history can become markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from splitbrain.checkers.histories.history import History
from splitbrain.checkers.verdict import Verdict, Witness
from splitbrain.harness.report import render
from splitbrain.harness.report.packing import ALPHABET
from splitbrain.harness.report.page import SCRIPTS, embed, figure, words

EVIL = "</script><script>window.hacked=1</script>\"'<img src=x onerror=hacked()>\u202e\u2028<!--"


class Page(HTMLParser):
    """Tags with their attributes, visible text, and the contents of scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside.append(tag)
            if tag == "script":
                self.scripts.append("")

    def handle_endtag(self, tag):
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data):
        if not self._inside:
            self.text += data
        elif self._inside[-1] == "script":
            self.scripts[-1] += data


def page(made) -> str:
    history = History.parse([json.dumps(event) + "\n" for event in made.events])
    return render(made.run, history, made.results or {}, made.logs)


@pytest.fixture(scope="module")
def invalid(sample):
    return page(sample.sets(seconds=20))


def test_the_summary_is_in_the_markup_itself(invalid):
    text = re.sub(r"\s+", " ", Page(invalid).text)
    assert "Was the test meaningful?" in text
    assert "acknowledged writes are missing from every final read" in text
    assert re.search(r"add \d+ to s\d by process \d+ through n[12] was acknowledged at", text)
    assert "12 of 12 directed links silent, 8 others heard" in text
    assert "n2 answers again" in text
    assert "splitbrain run sets --env sim" in text
    assert "quorum_failed" in text


def test_verdicts_are_words_and_not_only_colours(sample):
    made = sample.sets(seconds=8)
    history = History.parse([json.dumps(event) + "\n" for event in made.events])
    for word in ("valid", "invalid", "unknown", "broken"):
        html = render(made.run, history, {"verdict": word, "reason": "because"}, {})
        assert f'<span class="word">{word}</span>' in html
        assert f"<title>{word}: sets" in html


def test_an_unrecognized_verdict_is_shown_as_unknown_and_never_as_valid(sample):
    made = sample.sets(seconds=2)
    history = History.parse([json.dumps(event) + "\n" for event in made.events])
    assert 'class="banner unknown"' in render(made.run, history, {"verdict": ["valid"]}, {})
    assert 'class="banner unknown"' in render(made.run, history, {}, {})


def test_a_broken_checker_is_named_beside_the_verdicts_of_the_others(sample):
    made = sample.sets(seconds=2)
    history = History.parse([json.dumps(event) + "\n" for event in made.events])
    results = {"verdict": "broken", "reason": "one failed", "checkers": {}, "broken": {"siblings": "KeyError: 'x'"}}
    text = Page(render(made.run, history, results, {})).text
    assert "siblings" in text and "KeyError: 'x'" in text


def test_no_address_is_asked_for_anything(invalid):
    for tag, attributes in Page(invalid).tags:
        for name in ("src", "href", "action", "srcset", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    styles = re.findall(r"<style>(.*?)</style>", invalid, re.S)
    assert styles and not re.search(r"@import|url\(", "".join(styles))


def test_the_policy_allows_the_page_s_own_scripts_and_no_other(invalid):
    parsed = Page(invalid)
    policy = next(a["content"] for t, a in parsed.tags if t == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy.split("script-src")[1]
    kinds = [attributes.get("type") for tag, attributes in parsed.tags if tag == "script"]
    for kind, script in zip(kinds, parsed.scripts, strict=True):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert kind == "application/json" or f"'sha256-{digest}'" in policy


def test_values_errors_keys_and_logs_cannot_become_markup(sample):
    made = sample.sets(seconds=4)
    for event in made.events:
        if event["type"] != "invoke" and event["process"] != "nemesis" and event.get("value") is not None:
            event["value"] = EVIL
        if event.get("error"):
            event["error"] = f"{EVIL}: {EVIL}"
        if event.get("key"):
            event["key"] = EVIL + event["key"]
    made.run["command"] = made.run["workload"] = EVIL
    made.run["config"] = {EVIL: EVIL}
    witness = {"text": f"operation #9 {EVIL}\n{EVIL}", "events": [9], "data": {EVIL: [{"index": 9, EVIL: EVIL}] * 2}}
    checker = {"verdict": "invalid", "reason": EVIL, EVIL: {EVIL: [EVIL]}, "witness": witness}
    made.results = {"verdict": "invalid", "reason": EVIL, "checkers": {EVIL: checker}, "broken": {EVIL: EVIL}}
    made.logs = {EVIL: {EVIL: EVIL}}
    html = page(made)
    parsed = Page(html)
    assert not [tag for tag, attributes in parsed.tags if tag == "img" or "onerror" in attributes]
    assert len(parsed.scripts) == len(SCRIPTS) + 1
    data = json.loads(next(script for script in parsed.scripts if script.startswith("{")))
    assert not set(data["ops"]["texts"] + data["ops"]["planes"]) - set(ALPHABET)
    assert "\u202e" not in html and "\\u202e" in parsed.text


def test_embedded_json_reads_back_as_it_was():
    data = {"a": ["</script>", "<!--", "&amp;", "\u2028", "é", '"', "\\u003c", "😀"]}
    text = str(embed(data))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == data


def test_evidence_of_any_shape_is_shown(sample):
    made = sample.sets(seconds=2)
    verdict = Verdict.valid(
        "fine",
        count=12345,
        longest_silence_s=1.25,
        nested={"p50": 1.5, "deep": {"deeper": {"deepest": {"bottom": [1, {"x": 2}]}}}},
        nothing=None,
        empty=[],
        mixed=[{"a": 1}, 7],
        points=[[1, 2]] * 50,
        by_key={"s0": {"lost": 1}, "s1": {"lost": 2}},
        flag=True,
    )
    made.results = {"verdict": "valid", "reason": "fine", "checkers": {"any": verdict.as_dict()}}
    text = re.sub(r"\s+", " ", Page(page(made)).text)
    assert "12,345" in text and re.search(r"longest silence, s ?1.25", text) and "50 points, in results.json" in text
    assert re.search("flag ?yes", text)


def test_a_verdict_composed_of_parts_shows_the_witness_of_a_part_once(sample):
    made = sample.sets(seconds=4)
    bad = Verdict.invalid("gone", Witness("add 1 to s0 is gone", (9,)))
    whole = Verdict(bad.outcome, bad.reason, {}, bad.witness, {"inner": bad})
    made.results = {"verdict": "invalid", "reason": "gone", "checkers": {"outer": whole.as_dict()}}
    assert page(made).count('class="anomaly"') == 1


def test_a_witness_naming_events_that_are_not_there_is_still_shown(sample):
    made = sample.sets(seconds=2)
    bad = Verdict.invalid("gone", Witness("event 99999999 is odd", (99999999, -4)))
    made.results = {"verdict": "invalid", "reason": "gone", "checkers": {"odd": bad.as_dict()}}
    html = page(made)
    assert "event 99999999 is odd" in Page(html).text
    assert "#op=99999999" not in html


def test_names_and_numbers_are_written_for_people():
    assert words("longest_silence_s") == "longest silence, s"
    assert words("sla_ms") == "sla, ms"
    assert words("ok") == "ok"
    assert [figure(value) for value in (1234567, 0.123456, 12345.6, True, "x")] == [
        "1,234,567",
        "0.1235",
        "12,346",
        "yes",
        "x",
    ]


def test_a_run_of_many_keys_and_many_different_errors_stays_bounded(sample):
    made = sample.sets(seconds=2)
    made.events = []
    for number in range(60_000):
        about = {"process": number % 9, "f": "add", "key": f"a rather long name of a key: {number}", "value": number}
        made.events.append({"index": 2 * number, "time": number * 1000, "type": "invoke", **about})
        bad = {"type": "fail", "error": f"busy: {number} " + "x" * 500}
        made.events.append({"index": 2 * number + 1, "time": number * 1000 + 900, **about, **bad})
    html = page(made)
    assert len(html.encode()) < 2_000_000
    assert "59,800 more keys are left out" in html
