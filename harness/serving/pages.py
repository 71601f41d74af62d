"""The pages on all runs: lists, comparisons, campaigns, suites, a run under way.

1. All text goes through jinja2's autoescape. A page runs only this package's scripts, by their hashes, loads nothing,
   and talks to nobody; that of a run under way hears its own server.
2. Every page says what it has to say without JavaScript. Scripts filter, redraw and take keys.
3. The same pages are served and written as files. `Links` is all that differs.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from markupsafe import Markup

from splitbrain.harness.serving import drawings
from splitbrain.harness.serving.campaign_view import CampaignView, SuiteView, known_failures
from splitbrain.harness.serving.comparison import Comparison
from splitbrain.harness.serving.pulse import Pulse
from splitbrain.harness.serving.run_entry import VERDICTS, RunEntry
from splitbrain.harness.serving.run_filter import SORTS, RunFilter, choices

HERE = Path(__file__).parent
AGAIN_S = 120
"""Seconds of a run under way that are told again: an operation changes the one in which it began, at its end."""
ROWS = 200
"""Runs on a page that is served."""
GROUPS = 40


@dataclass(frozen=True, slots=True)
class Links:
    """Where things are. base: what comes before each address, `/` or the way up from it. static: pages are files."""

    base: str = "/"
    static: bool = False

    @property
    def home(self) -> str:
        return f"{self.base}index.html" if self.static else self.base

    def page(self, name: str) -> str:
        """A page that is there once: campaigns, suites."""
        return f"{self.base}{name}.html"

    def report(self, identity: str) -> str:
        """A run's report."""
        return f"{self.base}runs/{quote(identity)}/report.html"

    def file(self, identity: str, name: str) -> str:
        """A file of a run's."""
        return f"{self.base}runs/{quote(identity)}/{quote(name)}"

    def live(self, identity: str) -> str:
        """What a run is doing now."""
        return f"{self.base}live/{quote(identity)}"

    def compare(self, one: str, other: str) -> str:
        """Two runs beside each other."""
        return f"{self.base}compare.html?{urlencode([('run', one), ('run', other)])}"


@dataclass(frozen=True, slots=True)
class Group:
    """Runs of one workload on one system in one environment, the newest first."""

    name: tuple[str, str, str]
    runs: Sequence[RunEntry]

    @property
    def counts(self) -> dict[str, int]:
        return {verdict: n for verdict in VERDICTS if (n := sum(run.verdict == verdict for run in self.runs))}

    def spark(self, field: str, words: str) -> Markup:
        """A figure of the runs over time."""
        return drawings.sparkline([getattr(run, field) for run in reversed(self.runs)], words)


def runs_page(
    links: Links,
    runs: Sequence[RunEntry],
    *,
    chosen: RunFilter,
    page: int = 1,
    live: frozenset[str] = frozenset(),
    before: dict[str, str] | None = None,
    without_report: frozenset[str] = frozenset(),
) -> str:
    """The list of runs, as HTML.

    chosen: the filter. page: which of them, from 1. live: ids of those under way. before: for pages that are files,
    the page that shows a run beside the one before. without_report: ids of those whose report is not there.
    O(n log n).
    """
    found = chosen.chosen(runs)
    rows = len(found) if links.static else ROWS
    pages = max(1, -(-len(found) // max(rows, 1)))
    page = min(max(page, 1), pages)
    bins, unit = drawings.binned(found)
    grouped: dict[tuple[str, str, str], list[RunEntry]] = {}
    for run in sorted(found, key=lambda run: -run.at_s):
        grouped.setdefault(run.group, []).append(run)
    groups = [Group(name, some) for name, some in grouped.items()]
    counts = {verdict: sum(run.verdict == verdict for run in found) for verdict in VERDICTS}
    return _page(
        "runs.html.j2",
        links,
        scripts=("runs.js",),
        runs=found[(page - 1) * rows : page * rows],
        found=len(found),
        total=len(runs),
        counts=counts,
        chosen=chosen,
        choices=choices(runs),
        sorts=list(SORTS),
        groups=groups[:GROUPS],
        groups_left=len(groups[GROUPS:]),
        bars=drawings.verdict_bars(bins, "Runs over time, by verdict"),
        bins=bins,
        unit=unit,
        page=page,
        pages=pages,
        live=live,
        before=before or {},
        without_report=without_report,
        query=_query,
    )


def compare_page(links: Links, comparison: Comparison, pulses: tuple[Pulse, Pulse]) -> str:
    """Two runs beside each other, as HTML. pulses: of their histories. O(seconds)."""
    pair = (comparison.one, comparison.other)
    longest = max(*(pulse.elapsed_s for pulse in pulses), 1.0)
    charts: list[dict[str, object]] = []
    plotted: Sequence[tuple[str, str, Sequence[drawings.Figures]]] = (
        ("Acknowledged operations", "a second", [[float(each.ok) for each in pulse.seconds] for pulse in pulses]),
        ("Availability, by second of invocation", "", [[each.availability for each in p.seconds] for p in pulses]),
        ("Latency, 99th percentile", "ms", [[each.p99_ms for each in pulse.seconds] for pulse in pulses]),
    )
    for title, unit, series in plotted:
        highest = 1.0 if not unit else max((each for one in series for each in one if each is not None), default=1.0)
        drawn = [
            drawings.chart(figures, highest, longest, pulse.faults, f"{title}, {entry.id}")
            for figures, pulse, entry in zip(series, pulses, pair, strict=True)
        ]
        top = "100%" if not unit else f"{highest:,.0f} {unit}"
        charts.append({"title": title, "top": top, "drawn": list(zip(pair, drawn, strict=True))})
    return _page("compare.html.j2", links, comparison=comparison, pair=pair, charts=charts, longest=longest)


def campaigns_page(links: Links, campaigns: Sequence[CampaignView], reports: frozenset[str]) -> str:
    """The campaigns, and their failures by signature, as HTML. reports: ids of runs that can be opened."""
    known = known_failures(campaigns)
    return _page("campaigns.html.j2", links, campaigns=campaigns, known=known, reports=reports)


def suites_page(links: Links, suites: Sequence[SuiteView], reports: frozenset[str]) -> str:
    """The suites, as HTML. reports: ids of runs that can be opened."""
    return _page("suites.html.j2", links, suites=suites, reports=reports)


def live_page(links: Links, run: RunEntry, pulse: Pulse, *, live: bool) -> str:
    """A run under way, as HTML. live: whether it still is."""
    scripts = ("live.js",) if live else ()
    return _page("live.html.j2", links, scripts=scripts, connects=live, run=run, pulse=pulse, live=live)


def message_page(links: Links, title: str, words: str) -> str:
    """A page with a sentence: what is not there, and what to do."""
    return _page("message.html.j2", links, title=title, words=words)


def policy(scripts: Sequence[str] = (), *, connects: bool = False) -> str:
    """The content policy of a page with these scripts. connects: it hears its own server."""
    allowed = " ".join(_hash(_asset(name)) for name in scripts) or "'none'"
    heard = " connect-src 'self';" if connects else ""
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(_asset('serve.css'))}; img-src data:;{heard}"
        " form-action 'self'; base-uri 'none'"
    )


def _page(template: str, links: Links, *, scripts: Sequence[str] = (), connects: bool = False, **known: Any) -> str:
    return (
        _environment()
        .get_template(template)
        .render(
            links=links,
            policy=policy(scripts, connects=connects),
            style=Markup(_asset("serve.css")),
            scripts=[Markup(_asset(name)) for name in scripts],
            **known,
        )
    )


def _query(chosen: RunFilter, page: int) -> str:
    """The query of the same list, on another page."""
    fields = {"q": chosen.words} | {name: getattr(chosen, name) for name in ("workload", "system", "fault")}
    fields |= {"verdict": chosen.verdict, "seed": chosen.seed, "sort": chosen.sort, "page": str(page)}
    return f"?{urlencode({name: value for name, value in fields.items() if value})}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return (HERE / "assets" / name).read_text(encoding="utf-8")


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
