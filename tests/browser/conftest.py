"""A browser that is installed already, and the report's sample runs opened in it from `file://`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from splitbrain.harness.report import write
from tests.report_sample import report_sample

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def sample() -> ModuleType:
    """The module that makes up run folders."""
    return report_sample()


def _missing(reason: str) -> None:
    if os.environ.get("SPLITBRAIN_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{reason}, and SPLITBRAIN_REQUIRE_BROWSER=1 asks for one")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """An installed Chromium, driven by playwright."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        _missing("no Chromium is installed")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield chromium
        chromium.close()


@dataclass
class Opened:
    """A report in a tab: what it asked for, and what it complained of."""

    page: Any
    path: Path
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """(sample, the address's hash, options of the browser's context) -> the opened report.

    At the end of the test, it must have complained of nothing and asked for no other file.
    """
    opened: list[tuple[Opened, Any]] = []

    def show(made: Any, address: str = "", **options: Any) -> Opened:
        path = write(made.write(tmp_path / f"run-{len(opened)}"))
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        tab = Opened(context.new_page(), path)
        tab.page.on("request", lambda request: tab.requests.append(request.url))
        tab.page.on("console", lambda message: tab.complaints.append(f"{message.type}: {message.text}"))
        tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
        tab.page.goto(path.as_uri() + address)
        if options.get("java_script_enabled", True):
            tab.page.wait_for_selector("html[data-ready=yes]", state="attached")
        opened.append((tab, context))
        return tab

    yield show
    for tab, context in opened:
        context.close()
        assert tab.complaints == []
        assert {url.split("#")[0] for url in tab.requests if not url.startswith("data:")} == {tab.path.as_uri()}
