"""The report: one HTML file that shows a run, offline, from `file://`.

1. It makes no network request, and its summary (verdict, evidence, witness, faults, reproduce) needs no JavaScript.
2. It is bounded. It says in words what it leaves out, and every figure in it counts everything.
3. It judges nothing. Verdicts are the checkers'. A run without results is shown as unfinished, never as valid.

`write` makes report.html of a run folder, `write_judged` the page of any history that was checked; `render` makes the
page of what they hold. Begin reading at `page`.
"""

from splitbrain.harness.report.folder import ReportError, write
from splitbrain.harness.report.judged_history import write_judged
from splitbrain.harness.report.page import render

__all__ = ["ReportError", "render", "write", "write_judged"]
