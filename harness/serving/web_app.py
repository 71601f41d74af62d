"""The pages on all runs, served.

1. It only reads. What an address names is looked up in the index; no path is made of it, and a file is opened as
   `sealed_files` has it.
2. It answers to the names of its own host alone, so that no other site can read from it under a name of its own.
3. A run's report may be anybody's: it is served in a sandbox of its own origin, where it can run its own scripts, and
   reach neither these pages nor any network. Histories and logs are served as plain text.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from splitbrain.harness.report.folder import ReportError, kept
from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.sealed_files import NoSuchFile, below, opened
from splitbrain.harness.serving import pages
from splitbrain.harness.serving.campaign_view import campaigns_of, suites_of
from splitbrain.harness.serving.comparison import compared, pulse_of
from splitbrain.harness.serving.pulse import Pulse
from splitbrain.harness.serving.run_entry import UNFINISHED, RunEntry, read_entry
from splitbrain.harness.serving.run_filter import RunFilter
from splitbrain.harness.serving.run_index import Found, RunIndex

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

FILES = ("run.json", "results.json", "history.jsonl", "schedule.json", "messages.jsonl")
TICK_S = 0.5
_PIECE = 1 << 18
_SANDBOX = "sandbox allow-scripts allow-popups; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_REPORT = f"{_SANDBOX}; script-src 'unsafe-inline'; frame-ancestors 'none'"
_TEXT = "sandbox; default-src 'none'; frame-ancestors 'none'"
_PAGE = f"{pages.policy(('runs.js', 'live.js'), connects=True)}; frame-ancestors 'none'"
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def web_app(index: RunIndex, hosts: Sequence[str]) -> Starlette:
    """The application.

    index: of the runs. hosts: the names that it answers to; `*` for any.
    Raises UsageProblem without the extra `serve`.
    """
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.trustedhost import TrustedHostMiddleware
        from starlette.routing import Route
    except ImportError as problem:
        raise without_extra(problem) from None
    pages_of = _Pages(index)
    routes = [
        Route("/", pages_of.home),
        Route("/index.html", pages_of.home),
        Route("/compare.html", pages_of.compare),
        Route("/campaigns.html", pages_of.campaigns),
        Route("/suites.html", pages_of.suites),
        Route("/runs/{path:path}", pages_of.file),
        Route("/live/{id:path}", pages_of.live),
        Route("/events/{id:path}", pages_of.events),
    ]
    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    return Starlette(routes=routes, middleware=[trusted], exception_handlers={404: pages_of.absent})


def without_extra(problem: ImportError) -> UsageProblem:
    """The error where the extra is not installed."""
    missing = (problem.name or "starlette").partition(".")[0]
    return UsageProblem(f"splitbrain serve needs {missing}; install it with pip install 'splitbrain[serve]'")


class _Pages:
    """The endpoints. Those that are no coroutines run on threads."""

    def __init__(self, index: RunIndex) -> None:
        self._index = index
        self._links = pages.Links()

    def home(self, request: Request) -> Response:
        self._index.refresh()
        runs = self._index.runs
        query = dict(request.query_params)
        page = int(query["page"]) if query.get("page", "").isdecimal() else 1
        live = frozenset(run.id for run in runs if self._index.live(run))
        return _html(pages.runs_page(self._links, runs, chosen=RunFilter.of(query), page=min(page, 10**6), live=live))

    def compare(self, request: Request) -> Response:
        self._index.refresh()
        asked = request.query_params.getlist("run")
        if len(asked) != 2:
            words = f"{len(asked)} runs were named; tick two in the list of runs, then press Compare two"
            return _html(pages.message_page(self._links, "Two runs can be compared", words), 400)
        found = [self._index.run(identity) for identity in asked]
        if found[0] is None or found[1] is None:
            return self._none(asked[0] if found[0] is None else asked[1])
        pulses = pulse_of(found[0][1]), pulse_of(found[1][1])
        return _html(pages.compare_page(self._links, compared(found[0], found[1]), pulses))

    def campaigns(self, request: Request) -> Response:
        self._index.refresh()
        views = campaigns_of(self._index.campaigns())
        return _html(pages.campaigns_page(self._links, views, self._ids()))

    def suites(self, request: Request) -> Response:
        self._index.refresh()
        return _html(pages.suites_page(self._links, suites_of(self._index.suites()), self._ids()))

    def file(self, request: Request) -> Response:
        self._index.refresh()
        identity, name = self._split(request.path_params["path"])
        found = self._index.run(identity)
        if found is None:
            return self._none(identity)
        if name == "report.html":
            return self._report(found[1])
        if name not in FILES and not (name.startswith("nodes/") and name.endswith(".log")):
            return self._none(f"{identity}/{name}")
        try:
            return _text(opened(found[1].root, below(found[1].folder, name)))
        except NoSuchFile:
            return self._none(f"{identity}/{name}")

    def live(self, request: Request) -> Response:
        self._index.refresh()
        found = self._index.run(request.path_params["id"])
        if found is None:
            return self._none(request.path_params["id"])
        entry, place = found
        return _html(pages.live_page(self._links, entry, pulse_of(place), live=self._index.live(entry)))

    async def events(self, request: Request) -> Response:
        from starlette.responses import StreamingResponse

        await asyncio.to_thread(self._index.refresh)
        found = self._index.run(request.path_params["id"])
        if found is None:
            return self._none(request.path_params["id"])
        return StreamingResponse(self._told(*found), media_type="text/event-stream", headers=_ALWAYS)

    def absent(self, request: Request, problem: Exception) -> Response:
        """The answer to an address that is none."""
        return self._none(request.url.path)

    def _none(self, what: str) -> Response:
        words = f"{what} is no run, and no page; it may have been removed"
        return _html(pages.message_page(self._links, "Not here", words), 404)

    def _ids(self) -> frozenset[str]:
        return frozenset(run.id for run in self._index.runs)

    def _split(self, path: str) -> tuple[str, str]:
        """An address below runs/ as a run's id and the name of a file of it."""
        parts = path.split("/")
        for at in range(len(parts) - 1, 0, -1):
            if self._index.run("/".join(parts[:at])) is not None:
                return "/".join(parts[:at]), "/".join(parts[at:])
        return path, ""

    def _report(self, place: Found) -> Response:
        """The report as it was written, or drawn now."""
        try:
            with opened(place.root, below(place.folder, "report.html")) as file:
                return _html(file.read(), policy=_REPORT)
        except NoSuchFile:
            pass
        try:
            return _html(kept(place.root / place.folder).page, policy=_REPORT)
        except ReportError as problem:
            return _html(pages.message_page(self._links, "No report", str(problem)), 404)

    async def _told(self, entry: RunEntry, place: Found) -> AsyncIterator[str]:
        """What the run does, as server-sent events: `pulse` with what is new, and `end`."""
        pulse, known, sent, file = Pulse(), 0, -1, None
        try:
            while True:
                # Its results are looked for first: with them there, nothing follows what is read after.
                now = await asyncio.to_thread(read_entry, place.root, place.folder, entry.id, entry.at_s)
                with suppress(NoSuchFile):
                    file = file or opened(place.root, below(place.folder, "history.jsonl"))
                if file is not None:
                    await asyncio.to_thread(_read_on, file, pulse)
                if pulse.events != sent:
                    yield _event("pulse", pulse.as_dict(max(known - pages.AGAIN_S, 0)))
                    known, sent = len(pulse.seconds), pulse.events
                await asyncio.to_thread(self._index.refresh)
                if now.verdict != UNFINISHED or not self._index.live(entry):
                    reason = now.reason or "nothing was written for a while, and there are no results"
                    yield _event("end", {"verdict": now.verdict, "reason": reason})
                    return
                await asyncio.sleep(TICK_S)
        finally:
            if file is not None:
                file.close()


def _read_on(file: IO[bytes], pulse: Pulse) -> None:
    while piece := file.read(_PIECE):
        pulse.feed(piece)


def _event(name: str, told: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(told)}\n\n"


def _html(page: str | bytes, status: int = 200, *, policy: str = _PAGE) -> Response:
    from starlette.responses import HTMLResponse

    content = page if isinstance(page, bytes) else page.encode("utf-8", "replace")
    return HTMLResponse(content, status, headers={**_ALWAYS, "Content-Security-Policy": policy})


def _text(file: IO[bytes]) -> Response:
    from starlette.responses import StreamingResponse

    def pieces(left: int) -> Iterator[bytes]:
        # No more than was promised: a run under way goes on writing.
        with file:
            while left and (piece := file.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece

    size = os.fstat(file.fileno()).st_size
    headers = {**_ALWAYS, "Content-Security-Policy": _TEXT, "Content-Length": str(size)}
    return StreamingResponse(pieces(size), media_type="text/plain; charset=utf-8", headers=headers)
