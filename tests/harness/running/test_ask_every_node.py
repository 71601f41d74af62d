"""The end of workloads that have nothing to converge: every node is asked once."""

from __future__ import annotations

from splitbrain.harness.generators import clients
from splitbrain.harness.operation import Completion, Invocation
from splitbrain.harness.running.final_phase import ask_every_node
from splitbrain.harness.workload import Plan
from tests.harness.fixed_latency import invocations, play


def test_each_operation_is_asked_through_every_node_after_the_stage_is_noted() -> None:
    plan = Plan(("n1", "n2"), 0, {})
    asked = ask_every_node(plan, Invocation("drain", key="a"), Invocation("drain", key="b"))
    events = play(clients(asked), outcome=lambda _: Completion("ok", []))
    assert (events[0].f, events[0].value) == ("stage", "final-reads")
    drains = [(event.key, event.node) for event in invocations(events) if event.f == "drain"]
    assert drains == [("a", "n1"), ("a", "n2"), ("b", "n1"), ("b", "n2")]
