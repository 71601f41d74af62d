"""The summary of a suite: one HTML file that works offline, and JUnit XML for CI servers.

All text goes through jinja2's autoescape. The page has no script, and makes no request.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import jinja2

from splitbrain.harness.running.experiment import UsageProblem
from splitbrain.harness.running.results import unwritable
from splitbrain.harness.suites.suite import SuiteSummary

PAGE = "index.html"


def write_page(summary: SuiteSummary) -> Path:
    """Write the page into the suite's folder. Returns its path. Raises ResultsError."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("suite.html.j2").render(
        verdict="PASSED" if summary.status == "valid" else "FAILED",
        passed=sum(outcome.passed for outcome in summary.outcomes),
        outcomes=summary.outcomes,
        left=summary.left,
        interrupted=summary.interrupted,
    )
    path = summary.folder / PAGE
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise unwritable(path, problem) from None
    return path


def write_junit(path: Path, summary: SuiteSummary) -> None:
    """The runs as test cases. Raises UsageProblem."""
    failed = [outcome for outcome in summary.outcomes if not outcome.passed]
    broken = [outcome for outcome in failed if outcome.status == "broken"]
    suite = ET.Element(
        "testsuite",
        name="splitbrain suite",
        tests=str(len(summary.outcomes) + len(summary.left)),
        failures=str(len(failed) - len(broken)),
        errors=str(len(broken)),
        skipped=str(len(summary.left)),
    )
    for outcome in summary.outcomes:
        classname = f"{outcome.system}.{outcome.workload}"
        case = ET.SubElement(suite, "testcase", classname=classname, name=outcome.title, time=f"{outcome.seconds:.1f}")
        properties = ET.SubElement(case, "properties")
        for name, value in (("verdict", outcome.status), ("wanted", outcome.expect), ("replay", outcome.command)):
            ET.SubElement(properties, "property", name=name, value=value)
        if not outcome.passed:
            kind = "error" if outcome.status == "broken" else "failure"
            message = f"{outcome.status}, wanted {outcome.expect}: {outcome.reason}"
            ET.SubElement(case, kind, message=message).text = f"{outcome.witness}\n{outcome.command}".strip()
    for left in summary.left:
        experiment = left.experiment
        classname = f"{experiment.system}.{experiment.workload}"
        case = ET.SubElement(suite, "testcase", classname=classname, name=left.title)
        ET.SubElement(case, "skipped", message="not run within the time there was").text = experiment.command
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as problem:
        raise UsageProblem(f"can't write {path} ({problem.strerror}); give another file with --junit") from None
