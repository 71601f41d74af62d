"""The report in a browser. After every test the `show` fixture asserts that nothing was requested or complained of."""

from __future__ import annotations

import json
import re

import pytest

# How many colours a canvas shows: 1 is a blank one.
COLOURS = """(canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Set();
  for (let at = 0; at < data.length; at += 4) seen.add(data.slice(at, at + 4).join());
  return seen.size;
}"""


def settle(page) -> None:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def state(page) -> dict:
    settle(page)
    return page.evaluate("({...report.state})")


def press(page, *keys: str) -> dict:
    for key in keys:
        page.keyboard.press(key)
        settle(page)
    return state(page)


def point(page, index: int) -> tuple[float, float]:
    """Where an operation is drawn in the window."""
    page.evaluate("timeline.canvas.scrollIntoView({block: 'center'})")
    place = page.evaluate("(index) => timeline.place(report.rowOf.get(index))", index)
    return place["left"], place["top"]


@pytest.fixture(scope="module")
def invalid(sample):
    return sample.sets(seconds=20)


@pytest.fixture
def page(show, invalid):
    return show(invalid).page


def lost(page) -> int:
    """The operation that the witness is about."""
    return page.evaluate("report.data.anomalies[0].ops[1]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_chart_draws(show, invalid, scheme):
    page = show(invalid, color_scheme=scheme).page
    canvases = page.query_selector_all("canvas")
    assert len(canvases) == 8
    for canvas in canvases:
        assert canvas.evaluate(COLOURS) > 3, canvas.evaluate("(c) => c.id || c.closest('.chart').id")


def test_registers_show_their_siblings(show, sample):
    page = show(sample.registers(seconds=20)).page
    assert page.evaluate("Math.max(...report.data.siblings.most)") > 2
    assert page.query_selector("#siblings canvas").evaluate(COLOURS) > 3


def test_hovering_an_operation_tells_of_it(page):
    index = lost(page)
    press(page, "n")
    page.evaluate("(index) => report.lookAt(index)", index)
    settle(page)
    page.mouse.move(*point(page, index))
    tip = page.locator("#tip")
    assert tip.is_visible()
    assert tip.inner_text().startswith(f"{index} add")
    assert "outcome: ok" in tip.inner_text()


def test_clicking_an_operation_shows_its_details_and_puts_it_into_the_address(page):
    index = lost(page)
    page.evaluate("(index) => { report.lookAt(index); report.set({op: null}); }", index)
    settle(page)
    page.mouse.click(*point(page, index))
    assert state(page)["op"] == index
    assert f"Operation {index}: add" in page.locator("#detail").inner_text()
    page.wait_for_url(re.compile(f"#.*op={index}"))


def test_a_link_in_the_prose_goes_to_its_operation(page):
    link = page.locator(".prose a.op").nth(1)
    index = int(link.inner_text())
    link.click()
    found = state(page)
    assert page.evaluate("(event) => report.rowOf.get(event)", index) == page.evaluate(
        "report.rowOf.get(report.state.op)"
    )
    assert found["to"] - found["from"] < 5
    assert page.locator("#detail").inner_text().startswith("Operation")


def test_the_view_is_restored_from_the_address(page):
    index = lost(page)
    page.evaluate(
        "(index) => report.set({from: 12.5, to: 15.25, op: index, key: 's3', query: 'add', anomaly: 1})", index
    )
    before = state(page)
    page.wait_for_url(re.compile("#from=12.5"))
    page.reload()
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    after = state(page)
    assert {**after, "cursor": None} == {**before, "cursor": None}
    assert page.locator("#search").input_value() == "add"
    assert page.locator("#key").input_value() == "s3"


def test_n_and_p_go_from_anomaly_to_anomaly_and_f_shows_the_whole_run(page):
    whole = state(page)
    many = page.evaluate("report.data.anomalies.length")
    assert many > 2
    first = press(page, "n")
    assert first["anomaly"] == 1
    anomaly = page.evaluate("report.data.anomalies[0]")
    assert first["from"] <= anomaly["start"] and first["to"] >= anomaly["end"]
    second = press(page, "n")
    assert second["anomaly"] == 2 and second["to"] - second["from"] < 5
    assert press(page, "p", "p")["anomaly"] == many
    fitted = press(page, "f")
    assert (fitted["from"], fitted["to"]) == (whole["from"], whole["to"])
    assert page.locator(".anomaly.current").count() == 1


def test_search_finds_an_operation_by_its_number(page):
    index = lost(page)
    press(page, "/")
    page.keyboard.type(f"#{index}")
    press(page, "Enter")
    assert state(page)["op"] == index
    assert page.locator("#matches").inner_text().startswith("1 of ")


def test_search_finds_operations_by_what_they_say(page):
    press(page, "/")
    page.keyboard.type("quorum_failed")
    press(page, "Enter")
    first = state(page)["op"]
    second = press(page, "Enter")["op"]
    assert first != second
    assert "quorum_failed" in page.locator("#detail").inner_text()
    page.keyboard.press("Escape")
    assert state(page)["query"] == ""


def test_letters_typed_into_the_search_are_no_commands(page):
    press(page, "/")
    page.keyboard.type("nfp")
    assert state(page)["anomaly"] == 0


def test_dragging_on_any_chart_zooms_all_of_them(page):
    for target in ("#throughput .u-over", "#operations"):
        press(page, "f")
        place = page.locator(target)
        place.scroll_into_view_if_needed()
        box = place.bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2, steps=4)
        page.mouse.up()
        found = state(page)
        assert 2 < found["to"] - found["from"] < 6, target
        assert page.evaluate("[charts.scatter.u.scales.x.min, charts.scatter.u.scales.x.max]") == [
            found["from"],
            found["to"],
        ]


def test_the_overview_is_a_brush(page):
    box = page.locator("#overview").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 20, steps=4)
    page.mouse.up()
    found = state(page)
    whole = page.evaluate("report.whole.to")
    assert found["from"] / whole == pytest.approx(0.5, abs=0.01)
    assert found["to"] / whole == pytest.approx(0.75, abs=0.01)


def test_one_cursor_stands_on_every_chart(page):
    page.evaluate("report.set({cursor: 8})")
    settle(page)
    places = page.evaluate(
        "[...document.querySelectorAll('.chart .u-cursor-x')].map((e) => e.getBoundingClientRect().left)"
    )
    assert len(places) == 6
    assert max(places) - min(places) < 1.5
    assert page.evaluate("timeline.canvas.getBoundingClientRect().left + timeline.x(8)") == pytest.approx(
        places[0], abs=2
    )


def test_the_theme_can_be_switched_and_is_drawn(page):
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    settle(page)
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_without_javascript_the_summary_is_all_there(show, invalid):
    page = show(invalid, java_script_enabled=False).page
    text = page.locator("main").inner_text()
    assert re.search("invalid", text, re.I)
    assert "was acknowledged at" in text and "missing from every final read" in text
    assert "12 of 12 directed links silent" in text
    assert "splitbrain run sets" in text
    assert page.locator(".drawing .bar").count() > 5
    assert not page.locator("#search").is_visible() and not page.locator("#operations").is_visible()
    assert "need JavaScript" in text


def test_a_narrow_window_scrolls_down_and_never_sideways(show, invalid):
    page = show(invalid, viewport={"width": 400, "height": 800}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_a_killed_run_and_an_empty_one_open_too(show, sample):
    assert "did not finish" in show(sample.killed()).page.locator(".banner").inner_text()
    empty = sample.killed()
    empty.events = []
    assert "unknown" in show(empty).page.title()


def test_what_the_history_says_stays_text(show, sample):
    evil = (
        "</script><script>document.title='hacked'</script>\"'<img src=x onerror=\"document.title='hacked'\">é😀\u2028"
    )
    made = sample.sets(seconds=4)
    for event in made.events:
        if event["type"] in ("ok", "fail", "info") and event["process"] != "nemesis":
            event["value"] = evil
            if event["type"] != "ok":
                event["error"] = evil
    made.run["workload"] = evil
    page = show(made).page
    first = page.evaluate("report.ops.index[0]")
    page.evaluate("(index) => report.lookAt(index)", first)
    settle(page)
    page.mouse.move(*point(page, first))
    settle(page)
    assert evil[:30] in page.locator("#detail").inner_text()
    assert evil[:30] in page.locator("#tip").inner_text()
    assert "hacked" not in page.title().split("on dynamo")[1]
    assert page.locator("img").count() == 0
    assert page.title() != "hacked"


def test_100_000_operations_open_in_a_bounded_page(show, sample):
    made = sample.sets(seconds=4)
    made.events = crowd(100_000)
    tab = show(made)
    assert tab.path.stat().st_size < 2_000_000
    assert tab.page.evaluate("report.data.total") == 100_000
    assert "All 100,000 operations are here" in tab.page.locator("#timeline").inner_text()
    # Every one of them, as it was: here the ones in the middle.
    for number in (49_999, 50_003):
        row = tab.page.evaluate("(index) => report.rowOf.get(index)", 2 * number)
        told = tab.page.evaluate("(row) => [report.label(row), report.ops.outcome[row], report.start[row]]", row)
        assert told[0] == f"add s{number % 8} {number}" and told[1] == (number % 10 == 3)
        assert told[2] == pytest.approx(number * 600e-6, abs=16e-6)


def crowd(count: int) -> list[dict]:
    """Operations of twenty processes, one in ten of them not ok."""
    events = []
    for number in range(count):
        process, at = number % 20, number * 600_000
        about = {"process": process, "f": "add", "key": f"s{number % 8}", "node": "n1"}
        events.append({"index": 2 * number, "time": at, "type": "invoke", "value": number, **about})
        failed = number % 10 == 3
        done = {"type": "fail" if failed else "ok", **({"error": f"busy: {number}"} if failed else {})}
        events.append({"index": 2 * number + 1, "time": at + 500_000, "value": number, **about, **done})
    return json.loads(json.dumps(events))


def test_latencies_over_many_decades_crowd_their_axis_and_still_draw(show, sample):
    made = sample.sets(seconds=4, sane=True)
    made.events, made.results = [], {"verdict": "valid", "reason": "fine", "checkers": {}}
    at = 0
    for decade in range(12):
        about = {"process": decade, "f": "add", "key": "k", "value": decade}
        made.events.append({"time": at, "type": "invoke", **about})
        at += 10**decade
        made.events.append({"time": at, "type": "ok", **about})
    for index, event in enumerate(made.events):
        event["index"] = index
    page = show(made).page
    assert page.query_selector("#scatter canvas").evaluate(COLOURS) > 3
    assert page.evaluate("document.documentElement.dataset.ready") == "yes"


def test_a_story_is_drawn_without_javascript_and_tells_what_the_banner_says(show, invalid):
    page = show(invalid, java_script_enabled=False).page
    story = page.locator("svg.story").first
    assert story.bounding_box()["width"] > 600 and story.bounding_box()["height"] > 100
    told = page.locator(".banner .reason").inner_text()
    assert re.match(
        r"The write of \d+ to s\d, acknowledged by n[12] at \d+\.\d{3} s, is gone: no final read has it\.", told
    )
    lanes = story.locator("text[class=strong]").all_text_contents()
    assert lanes[0] == "clients" and len(lanes) > 1 and set(lanes[1:]) <= {"n1", "n2", "n3", "n4", "n5"}
