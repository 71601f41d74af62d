"""All runs in a real browser: served and as files, on a telephone and a desk, with a keyboard alone, without scripts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")

HOSTILE = "<img src=x onerror=document.title='taken'><script>document.title='taken'</script>\u202e'\"&"
COMMAND = Path(sys.executable).parent / "splitbrain"


def write(root: Path, sample: Any) -> None:
    """Six runs: of two workloads, one of them hostile in every field that it can be."""
    for day, made in enumerate(
        (sample.sets(seconds=6, sane=True), sample.sets(seconds=6), sample.registers(seconds=6)), 1
    ):
        for hour in (1, 2):
            made.run |= {"seed": day * 10 + hour}
            made.write(root / made.run["workload"] / f"202611{day:02d}T{hour:02d}0000Z")
    hostile = root / "sets" / "20261105T010000Z"
    hostile.mkdir(parents=True)
    (hostile / "run.json").write_text(
        json.dumps({"workload": HOSTILE, "system": HOSTILE, "faults": [HOSTILE], "config": {HOSTILE: HOSTILE}})
    )
    (hostile / "results.json").write_text(
        json.dumps({"verdict": "invalid", "reason": HOSTILE, "checkers": {HOSTILE: {"verdict": HOSTILE}}})
    )
    event = {"index": 0, "time": 0, "process": 0, "type": "invoke", "f": HOSTILE, "key": HOSTILE, "value": HOSTILE}
    (hostile / "history.jsonl").write_text(f"{json.dumps(event)}\n")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, sample: Any) -> Iterator[tuple[str, Path]]:
    """The address of a server, and the folder that it shows."""
    root = tmp_path_factory.mktemp("served") / "runs"
    write(root, sample)
    environment = {**os.environ, "XDG_CACHE_HOME": str(root.parent / "cache")}
    serving = subprocess.Popen(
        [COMMAND, "serve", root, "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert serving.stdout is not None
        yield serving.stdout.readline().split()[0], root
    finally:
        serving.terminate()
        serving.wait(timeout=60)


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """(options) -> a page that must have complained of nothing at its end, and asked its own server alone."""
    contexts, complaints, hosts = [], [], set()

    def tab(width: int = 1280, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: hosts.add(re.sub(r"^(\w+:(//[^/:]*)?).*", r"\1", request.url)))
        return page

    yield tab
    for context in contexts:
        context.close()
    assert complaints == []
    assert hosts <= {"http://127.0.0.1", "file://", "data:"}


def shown(page: Any) -> list[str]:
    """The seeds of the runs in the list that can be seen, from top to bottom."""
    return page.eval_on_selector_all(
        "table.runs tbody tr", "rows => rows.filter(row => row.offsetParent).map(row => row.dataset.seed)"
    )


@pytest.mark.parametrize("width", [390, 720, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_overflows_sideways_and_text_stands_out(served, tab, width, scheme):
    address, _ = served
    page = tab(width, color_scheme=scheme)
    pair = "compare.html?run=runs/sets/20261101T010000Z&run=runs/sets/20261102T010000Z"
    for path in ("", "campaigns.html", "suites.html", pair, "live/runs/sets/20261101T010000Z"):
        page.goto(address + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.goto(address)
    colours = page.evaluate(
        """() => ["body", ".quiet", "td .invalid", "td .valid", "a"].map(each => {
             const style = getComputedStyle(document.querySelector(each));
             return style.color.match(/[\\d.]+/g).slice(0, 3).map(Number);
           }).concat([getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number)])"""
    )
    *inks, paper = [luminance(each) for each in colours]
    assert (paper > 0.5) == (scheme == "light")
    assert min((max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) for ink in inks) >= 4.5


def luminance(colour: list[float]) -> float:
    """WCAG 2, relative luminance of an sRGB colour, 0 to 255 each."""
    linear = [each / 255 / 12.92 if each <= 10 else ((each / 255 + 0.055) / 1.055) ** 2.4 for each in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_filter_is_applied_with_and_without_scripts(served, tab):
    address, _ = served
    for scripts in (True, False):
        page = tab(java_script_enabled=scripts)
        page.goto(address)
        page.fill("#q", "registers")
        page.press("#q", "Enter")
        page.wait_for_url("**/?*q=registers*")
        assert page.inner_text("#found") == "2"
        assert page.input_value("#q") == "registers", "what was asked for stays in the field"
    page = tab()
    page.goto(address)
    page.select_option("select[name=verdict]", "valid")
    page.wait_for_url("**/?*verdict=valid*")
    assert page.locator("table.runs .verdict.valid").count() == page.locator("table.runs tbody tr").count() > 0


def test_two_runs_are_chosen_and_compared_with_the_keyboard_alone(served, tab):
    address, _ = served
    page = tab()
    page.goto(address + "?workload=sets&sort=oldest")
    assert page.is_disabled("#pair button")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "q"
    ticked = 0
    for _ in range(200):
        page.keyboard.press("Tab")
        where = page.evaluate("document.activeElement.name + ' ' + document.activeElement.value")
        if where.startswith("run "):
            page.keyboard.press("Space")
            ticked += 1
        if ticked == 2:
            break
    assert page.is_enabled("#pair button")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "where the keyboard is can be seen"
    page.keyboard.press("Enter")
    page.wait_for_url("**/compare.html?*")
    assert page.inner_text("h1") == "Two runs"
    assert [page.locator(f"figure.side-{side} svg").count() for side in (1, 2)] == [3, 3]


def test_a_third_run_takes_the_place_of_the_first(served, tab):
    address, _ = served
    page = tab()
    page.goto(address)
    for at in range(3):
        page.locator("input[name=run]").nth(at).check()
    assert [page.locator("input[name=run]").nth(at).is_checked() for at in range(3)] == [False, True, True]


def test_the_charts_of_two_runs_stand_on_one_axis(served, tab):
    address, _ = served
    page = tab()
    page.goto(address + "compare.html?run=runs/sets/20261101T010000Z&run=runs/registers/20261103T010000Z")
    boxes = page.eval_on_selector_all(
        "svg.chart",
        "all => all.map(each => { const box = each.getBoundingClientRect(); return [box.left, box.width]; })",
    )
    assert len(boxes) == 6 and all(box == boxes[0] for box in boxes)


def test_hostile_values_stay_text_wherever_they_stand(served, tab):
    address, _ = served
    page = tab()
    pair = "compare.html?run=runs/sets/20261105T010000Z&run=runs/sets/20261101T010000Z"
    for path in (
        "",
        f"?q={HOSTILE.replace('&', '%26').replace('#', '')}",
        pair,
        "live/runs/sets/20261105T010000Z",
        "runs/runs/sets/20261105T010000Z/report.html",
    ):
        page.goto(address + path)
        assert "taken" not in page.title().replace("document.title='taken'", "")
        assert page.locator("img").count() == 0
        assert (
            page.locator("script").evaluate_all(
                "all => all.filter(each => each.textContent.startsWith('document.title')).length"
            )
            == 0
        )
    page.goto(address)
    assert HOSTILE in page.locator("table.runs tbody tr").first.text_content()


def test_a_report_opens_and_draws_in_its_sandbox(served, tab):
    address, _ = served
    page = tab()
    page.goto(address)
    page.locator("table.runs th[scope=row] a", has_text="registers").first.click()
    page.wait_for_selector("html[data-ready=yes]", state="attached")
    assert page.evaluate("window.origin") == "null", "its scripts are of no origin that reads these pages"
    assert page.inner_text("h1 .name").startswith("registers on")


def test_a_run_under_way_is_drawn_as_it_goes_and_then_ends(served, tab, sample):
    address, root = served
    made = sample.sets(seconds=6, sane=True, seed=3)
    folder = root / "sets" / "20261110T000000Z"
    results, made.results = made.results, None
    events, made.events = made.events, made.events[:300]
    made.write(folder)
    page = tab()
    time.sleep(1.1)  # The index is as old as that.
    page.goto(address)
    page.locator("table.runs a", has_text="under way").first.click()
    page.wait_for_selector("#rate polyline")
    from playwright.sync_api import expect

    before = int(page.inner_text("#count-ok").replace(",", ""))
    with (folder / "history.jsonl").open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events[300:])
    expect(page.locator("#count-ok")).not_to_have_text(f"{before:,}")
    (folder / "results.json").write_text(json.dumps(results))
    page.wait_for_selector("#ended:not([hidden])")
    assert page.inner_text("#state").startswith("valid: ")
    loads = [
        each for each in events if each["f"] != "replica" and each["type"] == "ok" and isinstance(each["process"], int)
    ]
    assert page.inner_text("#count-ok") == f"{len(loads):,}"


@pytest.fixture
def site(tmp_path: Path, sample: Any) -> str:
    """The first page of the pages as files."""
    write(tmp_path / "runs", sample)
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run(
        [COMMAND, "serve", tmp_path / "runs", "--static", tmp_path / "site"],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return (tmp_path / "site" / "index.html").as_uri()


def test_pages_that_are_files_filter_and_sort_by_themselves(site, tab):
    page = tab()
    page.goto(site)
    assert len(shown(page)) == 7
    page.fill("#q", "registers dynamo")
    assert sorted(shown(page)) == ["31", "32"] and page.inner_text("#found") == "2"
    page.fill("#q", "")
    page.select_option("select[name=verdict]", "valid")
    page.select_option("select[name=sort]", "oldest")
    assert shown(page)[:2] == ["11", "12"]
    page.fill("input[name=seed]", "12")
    assert shown(page) == ["12"]
    page.locator("table.runs a", has_text="beside the one before").locator("visible=true").click()
    page.wait_for_url("**/compare/*.html")
    assert page.inner_text("h1") == "Two runs"


def test_pages_that_are_files_list_every_run_without_scripts(site, tab):
    page = tab(java_script_enabled=False)
    page.goto(site)
    assert page.locator("table.runs tbody tr").count() == 7
    assert not page.is_visible("#filter"), "a filter that does nothing is not shown"
    assert page.locator("svg.bars rect").count() >= 4 and page.locator("svg.spark").count() == 2
