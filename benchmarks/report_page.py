"""The report of a large run: how many bytes its page takes, and how long it takes to write and to open.

    python -m benchmarks.report_page [OPERATIONS]

The operations are those of twenty processes that add and read, one in fifty of them not ok, with latencies and order
drawn at random. Times are of the processor: of this process for writing, of the page's main thread for opening. To open
it, playwright and a Chromium are needed.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from splitbrain.harness.report import write

OPERATIONS = 250_000
PROCESSES = 20
KEYS = 8


def run(folder: Path, operations: int) -> None:
    """Write a run folder with so many operations. Each process waits for its answer before it asks again."""
    rng = random.Random(operations)
    events: list[tuple[int, int, dict[str, object]]] = []
    free = [0] * PROCESSES
    for number in range(operations):
        slot = min(range(PROCESSES), key=free.__getitem__)
        begin = free[slot] + int(rng.expovariate(1 / 5_000_000)) + 1_000
        end = begin + int(rng.lognormvariate(-5.2, 0.6) * 1e9)
        free[slot] = end + 1_000
        read, good = rng.random() < 0.5, rng.random() < 0.98
        about = {
            "process": slot,
            "f": "read" if read else "add",
            "key": f"s{rng.randrange(KEYS)}",
            "node": f"n{slot % 5 + 1}",
        }
        value = None if read else number
        events.append((begin, number, {"type": "invoke", "value": value, **about}))
        shown = sorted(rng.sample(range(number + 1), min(number + 1, 12))) if read else value
        done = (
            {"type": "ok", "value": shown} if good else {"type": "fail", "error": "busy: n1 takes no requests; retry"}
        )
        events.append((end, number, {**about, **done}))
    events.sort(key=lambda event: event[:2])
    with (folder / "history.jsonl").open("w") as file:
        for index, (at, _, event) in enumerate(events):
            file.write(json.dumps({"index": index, "time": at, **event}) + "\n")
    (folder / "run.json").write_text(json.dumps({"workload": "sets", "system": "made up", "nodes": ["n1"]}))


def opened_s(page: Path) -> float | None:
    """Seconds of the main thread until the page is ready; None without a browser."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if found is None:
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        tab = browser.new_page()
        session = tab.context.new_cdp_session(tab)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready=yes]", state="attached", timeout=120_000)
        metrics = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        browser.close()
        return float(metrics["ThreadTime"])


def main() -> None:
    """Print a line."""
    operations = int(sys.argv[1]) if len(sys.argv) > 1 else OPERATIONS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(folder, operations)
        began = time.process_time()
        page = write(folder)
        written_s = time.process_time() - began
        ready_s = opened_s(page)
        opened = "no browser to open it" if ready_s is None else f"ready after {ready_s:.2f} s of its main thread"
        print(f"{operations:,} operations: {page.stat().st_size / 1e6:.2f} MB, written in {written_s:.1f} s, {opened}")


if __name__ == "__main__":
    main()
