"""The page claims no more than the run tells: each test is of something that misled a reader once."""

from __future__ import annotations

import itertools

import pytest

SECOND = 1_000_000_000


def settle(page) -> None:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


# How many pixels of a chart have a colour of the palette, within a span of time and a share of its height.
PIXELS = """([id, colour, from, to, top = 0, bottom = 1]) => {
  const { u } = charts.all[id];
  const { ctx, bbox } = u;
  const [left, right] = [from, to].map((at) => Math.round(u.valToPos(at, "x", true)));
  const copy = Object.assign(document.createElement("canvas"), { width: ctx.canvas.width, height: ctx.canvas.height });
  const pen = copy.getContext("2d", { willReadFrequently: true });
  pen.drawImage(ctx.canvas, 0, 0);
  const { data } = pen.getImageData(left, bbox.top + bbox.height * top, Math.max(right - left, 1), bbox.height * (bottom - top) + 3);
  const [r, g, b] = report.palette[colour].match(/\\d+/g).map(Number);
  let many = 0;
  for (let at = 0; at < data.length; at += 4)
    if (Math.abs(data[at] - r) + Math.abs(data[at + 1] - g) + Math.abs(data[at + 2] - b) < 30) many++;
  return many;
}"""


def looks(made, key, rounds):
    """Put polls of three replicas into a sample, 60 ms apart. rounds: (second, versions of n1, n2, n3)."""
    for at, *held in rounds:
        for slot, versions in enumerate(held):
            begin = int(at * SECOND) + slot * 60_000_000
            about = {"process": 2000 + slot + 10 * len(key), "f": "replica", "key": key, "node": f"n{slot + 1}"}
            value = {"home": True, "versions": versions, "values": versions, "hinted": 0}
            made.events.append({"time": begin, "type": "invoke", **about})
            made.events.append({"time": begin + 2_000_000, "type": "ok", "value": value, **about})


def writes(made, key, until_s):
    """Ten acknowledged writes a second, by one process."""
    for number in range(int(until_s * 10)):
        about = {"process": 3000, "f": "add", "key": key, "node": "n1", "value": 10_000 + number}
        made.events.append({"time": number * SECOND // 10, "type": "invoke", **about})
        made.events.append({"time": number * SECOND // 10 + 90_000_000, "type": "ok", **about})


def numbered(made):
    made.events.sort(key=lambda event: event["time"])
    for index, event in enumerate(made.events):
        event["index"] = index
    return made


def bare(sample):
    """A run without polls, faults or results."""
    made = sample.sets(seconds=4, sane=True)
    made.events, made.results = [], {"verdict": "valid", "reason": "nothing was wrong", "checkers": {}}
    return made


def test_a_key_that_is_written_all_the_time_was_called_diverged(show, sample):
    made = bare(sample)
    writes(made, "busy", 30)
    looks(made, "busy", [(at, [f"v{at}"], [f"v{at}b"], [f"v{at}c"]) for at in range(0, 30, 3)])
    looks(made, "stuck", [(at, ["new"], ["new"], ["old"]) for at in range(0, 30, 3)])
    page = show(numbered(made)).page
    assert page.evaluate("charts.divergence.u.data !== null && report.data.divergence.keys") == ["stuck", "busy"]
    states = page.evaluate("report.data.divergence.spans.map((looks) => looks.map((look) => look[2]))")
    assert set(states[0]) == {2} and set(states[1]) == {1}
    cells = page.locator("#keys tbody tr")
    told = {
        cells.nth(at).locator("td").nth(0).inner_text(): cells.nth(at).locator("td").nth(7).inner_text()
        for at in range(2)
    }
    assert told == {"busy": "0 of 10", "stuck": "10 of 10"}
    # Above the middle lies the row of the key that is stuck, below it that of the busy one.
    assert page.evaluate(PIXELS, ["divergence", "fail", 0, 30, 0, 0.48]) > 100
    assert page.evaluate(PIXELS, ["divergence", "fail", 0, 30, 0.52, 0.95]) == 0


def test_siblings_climbed_through_an_outage_in_which_nobody_answered(show, sample):
    made = bare(sample)
    looks(made, "k", [(at, ["a"], ["a"], ["a"]) for at in (1, 2, 3, 4, 5)])
    looks(made, "k", [(at, ["a", "b", "c"], ["a", "b", "c"], ["a", "b"]) for at in (25, 26, 27, 28, 29)])
    page = show(numbered(made)).page
    assert page.evaluate(PIXELS, ["siblings", "fail", 1, 5]) > 20
    assert page.evaluate(PIXELS, ["siblings", "fail", 25, 29]) > 20
    assert page.evaluate(PIXELS, ["siblings", "fail", 7, 24]) == 0
    assert page.evaluate(PIXELS, ["siblings", "ok", 7, 24]) == 0
    assert page.evaluate(PIXELS, ["divergence", "quiet", 7, 24]) == 0
    assert page.evaluate(PIXELS, ["divergence", "fail", 7, 24]) == 0
    assert page.evaluate(PIXELS, ["divergence", "fail", 25, 29]) > 50


def witnessed(sample, *, text="", events=None, total=None):
    made = sample.sets(seconds=20)
    part = made.results["checkers"]["lost-writes"]
    part["witness"]["text"] = text or part["witness"]["text"]
    part["witness"]["events"] = events or part["witness"]["events"]
    if total:
        part["lost"] = total
    return made


def test_the_first_hundred_of_193_were_called_all(show, sample):
    made = witnessed(sample, total=193)
    listed = len(made.results["checkers"]["lost-writes"]["witness"]["data"]["lost"])
    page = show(made).page
    assert (
        page.locator("#anomaly-count").inner_text()
        == f"first {page.evaluate('report.data.anomalies.length')} of 193 anomalies"
    )
    assert page.locator("#witness details summary").first.inner_text() == f"The first {listed} of 193 lost"
    made = witnessed(sample, total=listed)
    assert show(made).page.locator("#witness details summary").first.inner_text() == f"All {listed} lost"


def test_the_next_anomaly_zoomed_to_the_whole_run_because_of_its_final_reads(show, sample):
    page = show(sample.sets(seconds=20)).page
    page.keyboard.press("n")
    settle(page)
    state = page.evaluate("({...report.state})")
    assert state["to"] - state["from"] < 3
    # It is the write that was lost that is looked at, and the rest of the anomaly is a click away.
    asked = page.evaluate("report.label(report.rowOf.get(report.state.op))")
    assert asked.startswith("add ")
    assert state["from"] <= page.evaluate("report.start[report.rowOf.get(report.state.op)]") <= state["to"]
    page.locator("#detail p button").last.click()
    settle(page)
    assert page.evaluate("report.start[report.rowOf.get(report.state.op)]") > 20
    page.locator(".show").first.click()
    settle(page)
    assert page.evaluate("report.state.op") == state["op"]


def test_the_zero_of_a_time_was_a_link_to_event_0(show, sample):
    made = witnessed(sample, text="write 0, events 0–1, 0.000 s (n2) to 0.113 s; 12 others, and event 5", events=[0, 1])
    page = show(made).page
    assert page.locator(".prose a").all_inner_texts()[:2] == ["0", "1"]
    assert "0.000" not in [link[:5] for link in page.locator(".prose a").all_inner_texts()] or page.locator(
        ".prose a", has_text="0.000 s"
    ).get_attribute("href") in ("#op=0", "#op=1")
    assert "5" not in page.locator(".prose a").all_inner_texts()


def wide(sample):
    made = sample.sets(seconds=8)
    names = {f"a rather long name of a figure {at}": 123_456_789 for at in range(14)}
    made.results["checkers"]["lost-writes"]["by_a_key"] = {"one": {f"k{n}": names for n in range(3)}, "two": names}
    made.results["reason"] = "not-a-word-that-can-be-broken-" * 12
    return made


@pytest.mark.parametrize(("width", "script"), [(390, True), (720, True), (1440, True), (195, True), (390, False)])
def test_the_page_was_wider_than_the_window(show, sample, width, script):
    tab = show(wide(sample), viewport={"width": width, "height": 800}, java_script_enabled=script)
    if script:
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    else:
        assert tab.page.locator("main").bounding_box()["width"] <= width


def test_the_bar_took_150_px_of_a_phone(show, sample):
    page = show(wide(sample), viewport={"width": 390, "height": 800}).page
    assert page.locator(".topbar").bounding_box()["height"] <= 80
    # The search is not lost: it stands with the timeline, and its key still goes there.
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    assert page.locator("#timeline #search").is_visible()


def test_a_long_key_selected_nothing_and_the_filter_stopped_at_500_keys(show, sample):
    made = bare(sample)
    names = [f"k{at}" for at in range(1_200)] + ["long " * 40 + "one", "long " * 40 + "two", "turned \u202e around"]
    for at, name in enumerate(names):
        about = {"process": 0, "f": "add", "key": name, "value": at}
        made.events.append({"time": at * 2_000_000, "type": "invoke", **about})
        # What failed comes first in the table of keys, which is cut.
        made.events.append({"time": at * 2_000_000 + 1_000_000, "type": "fail" if at >= 1_200 else "ok", **about})
    page = show(numbered(made)).page
    for which, at in (("one", 1_200), ("two", 1_201)):
        link = page.locator("#keys a.of-key").filter(has_text="long").nth(0 if which == "one" else 1)
        link.click()
        settle(page)
        bright = page.evaluate("[...report.bright()].flatMap((each, row) => (each ? [report.ops.value[row]] : []))")
        assert bright == [str(at)], which
    page.locator("#key").fill("k1100")
    settle(page)
    assert page.evaluate("report.state.key") == "k1100"
    assert page.evaluate("report.bright().reduce((sum, each) => sum + each)") == 1
    page.locator("#key").fill("k119")
    offered = page.locator("#keys-offered option").evaluate_all("(all) => all.map((each) => each.value)")
    assert "k1199" in offered and all("k119" in name for name in offered)
    assert "\u202e" not in page.content()
    assert "turned \\u202e around" in page.locator("#keys").inner_text()


def test_searching_for_a_value_jumped_to_the_event_of_that_number(show, sample):
    made = sample.sets(seconds=20)
    value = made.results["checkers"]["lost-writes"]["witness"]["data"]["value"]
    page = show(made).page
    page.keyboard.press("/")
    page.keyboard.type(str(value))
    page.keyboard.press("Enter")
    settle(page)
    assert page.evaluate("report.ops.value[report.rowOf.get(report.state.op)]") == str(value)
    page.locator("#search").fill(f"#{value}")
    page.keyboard.press("Enter")
    settle(page)
    assert page.evaluate("report.state.op") in (value, page.evaluate(f"report.ops.index[report.rowOf.get({value})]"))


def test_fault_families_differed_by_hue_alone(show, sample):
    page = show(sample.sets(seconds=20)).page
    pictures = page.evaluate("""() => {
      const kinds = ["partition", "kill", "pause", "packets", "clock", "disk", "membership"];
      for (const kind of kinds) report.palette[kind] = "rgb(90, 90, 90)";
      return kinds.map((kind) => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 32, height: 32 });
        const ctx = canvas.getContext("2d");
        report.shadeFault(ctx, { kind, effective: true }, 0, 0, 32, 32, 0.6);
        return [...ctx.getImageData(0, 0, 32, 32).data].join();
      });
    }""")
    assert len(set(pictures)) == 7
    # And in the table: the same paint without its colour.
    hatches = page.locator("#faults i.key").evaluate_all(
        "(all) => all.map((each) => getComputedStyle(each).backgroundImage.split(/[a-z]+\\([\\d., /]+\\)/).join('#'))"
    )
    assert len(hatches) == 3 and len(set(hatches)) == 2 and "none" not in hatches


def test_lines_of_quantiles_that_overlap_carry_their_names(show, sample):
    page = show(sample.sets(seconds=20)).page
    told = page.evaluate("""() => {
      const told = [];
      const put = CanvasRenderingContext2D.prototype.fillText;
      CanvasRenderingContext2D.prototype.fillText = function (words, x, y) { told.push([words, y / devicePixelRatio]); put.apply(this, arguments); };
      charts.all.quantiles.u.redraw(false);
      return new Promise((done) => setTimeout(() => { CanvasRenderingContext2D.prototype.fillText = put; done(told); }, 100));
    }""")
    places = {words: y for words, y in told if words in ("p50", "p95", "p99", "max")}
    assert places.keys() == {"p50", "p95", "p99", "max"}
    ranked = sorted(places.values())
    assert min(later - earlier for earlier, later in itertools.pairwise(ranked)) >= 11


def test_headings_that_sort_could_not_be_reached_by_keyboard(show, sample):
    page = show(sample.sets(seconds=20)).page
    heading = page.locator("#keys th", has_text="operations")
    heading.locator("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    column = [int(text) for text in page.locator("#keys tbody tr td:nth-child(3)").all_inner_texts()]
    assert column == sorted(column, reverse=True) and len(set(column)) > 1
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"


def test_a_total_outage_left_availability_blank(show, sample):
    made = bare(sample)
    writes(made, "k", 5)
    for at in range(5, 15):
        about = {"process": 4000 + at, "f": "add", "key": "k", "value": at}
        made.events.append({"time": at * SECOND, "type": "invoke", **about})
    page = show(numbered(made)).page
    assert page.evaluate(PIXELS, ["availability", "valid", 6, 14, 0.95, 1]) > 20


@pytest.mark.parametrize("script", [True, False])
def test_print_lacked_what_was_closed_and_had_headings_of_nothing(show, sample, script):
    page = show(sample.sets(seconds=20), java_script_enabled=script).page
    page.emulate_media(media="print")
    for details in page.locator("details").all():
        assert details.locator("> :not(summary)").first.bounding_box()["height"] > 0
    assert page.locator(".log").first.is_visible()
    assert page.locator("#latency h2").is_visible() == script
    assert not page.locator(".topbar").is_visible()
    for heading in page.locator("main h2, main h3").all():
        if heading.is_visible():
            assert heading.evaluate("(h) => getComputedStyle(h).breakAfter") == "avoid-page"


def test_the_timeline_of_many_processes_was_2535_px_tall(show, sample):
    made = bare(sample)
    for process in range(700):
        about = {"process": process, "f": "add", "key": "k", "value": process}
        made.events.append({"time": process * 1_000_000, "type": "invoke", **about})
        made.events.append({"time": 2 * SECOND + process * 1_000_000, "type": "ok", **about})
    for number in range(60):
        value = {"fault": "kill", "phase": "start", "nodes": ["n1"]}
        seen = value | {"evidence": {"effective": True, "detail": "gone"}}
        about = {"process": "nemesis", "type": "info"}
        begin = 3 * SECOND + number * 200_000_000
        stop = {"fault": "kill", "phase": "stop", "nodes": ["n1"]}
        made.events += [{"time": begin, "f": "kill", "value": value, **about}]
        made.events += [{"time": begin + 1, "f": "kill", "value": seen, **about}]
        made.events += [{"time": begin + 100_000_000, "f": "restart", "value": stop, **about}]
        made.events += [{"time": begin + 100_000_001, "f": "restart", "value": stop, **about}]
    page = show(numbered(made)).page
    assert page.locator("#operations").bounding_box()["height"] < 520
    assert page.locator("#faults tbody tr").count() == 60
    assert page.locator("#faults .scroll").bounding_box()["height"] <= 430
    # Zoomed in, the few lanes that are left have room for their words again.
    page.evaluate("report.set({from: 0, to: 0.02})")
    settle(page)
    first, second = (page.evaluate("(row) => timeline.place(row).top", row) for row in (0, 1))
    assert second - first >= 10
