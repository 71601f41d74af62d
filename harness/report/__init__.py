"""The report: one HTML file that shows a run, offline, from `file://`.

1. It makes no network request, and its summary (verdict, evidence, witness, faults, reproduce) needs no
   JavaScript.
2. It is bounded: what it leaves out it says in words, and every figure in it counts everything.
3. It judges nothing. Verdicts are the checkers'; a run without results is shown as unfinished, never as
   valid.

`write` makes report.html of a run folder; `render` makes the page of what such a folder holds.
"""

from splitbrain.harness.report.folder import ReportError, write
from splitbrain.harness.report.page import render

__all__ = ["ReportError", "render", "write"]
