"""Histories that others recorded and judged: etcd and key-value logs of Porcupine, CAS registers of Knossos."""

from __future__ import annotations

import json

import msgspec
import pytest

from splitbrain.checkers.budget import Budget
from splitbrain.checkers.histories.columns import FOREVER
from splitbrain.checkers.histories.formats import read
from splitbrain.checkers.histories.history import History
from splitbrain.checkers.linearizability import MODELS, check
from splitbrain.checkers.linearizability.calls import calls_of
from splitbrain.checkers.linearizability.search import search
from tests.checkers.shared import SHARED, needs_histories

# Those whose operations say which values: 42 histories of Knossos, 51 logs and 4 stores of Porcupine.
_KNOSSOS = sorted((SHARED / "knossos" / "cas-register").glob("*/*.edn"))
_PORCUPINE = json.loads((SHARED / "porcupine" / "verdicts.json").read_text()) if SHARED.is_dir() else {}
_CASES = [
    *((f"knossos/cas-register/{path.parent.name}/{path.name}", "cas-register", path.parent.name) for path in _KNOSSOS),
    *(
        (f"porcupine/{name}", "cas-register" if name.endswith(".log") else "kv", said)
        for name, said in _PORCUPINE.items()
    ),
]
_MEANS = {"good": "valid", "bad": "invalid"}


def _recorded(name: str) -> History:
    with (SHARED / name).open("rb") as lines:
        return read(lines)


@needs_histories
@pytest.mark.parametrize(("name", "model", "said"), _CASES, ids=[name for name, _, _ in _CASES])
def test_a_recorded_history_is_judged_as_those_who_recorded_it_did(name: str, model: str, said: str) -> None:
    history = _recorded(name)
    verdict = check(history, model=model, timeout_s=60)
    assert verdict.outcome == _MEANS.get(said, said), verdict.reason
    assert verdict.evidence["undecided"] == 0
    if verdict.witness is None:
        return
    # What is shown is in the history as told, and was known by the event from which on it is certain.
    assert verdict.witness.events and list(verdict.witness.events) == sorted(set(verdict.witness.events))
    for call in verdict.witness.data["calls"]:
        assert history.events[call["invoked"]].type == "invoke"
        assert history.events[call["invoked"]].process == call["process"]


@needs_histories
@pytest.mark.parametrize("name", [name for name, _, said in _CASES if _MEANS.get(said, said) == "invalid"])
def test_what_comes_before_the_blocked_return_is_linearizable_by_itself(name: str) -> None:
    model = MODELS["kv" if name.endswith(".txt") else "cas-register"]
    for calls in calls_of(_recorded(name), model).values():
        outcome = search(calls, model, Budget(timeout_s=60))
        if outcome.linearizable:
            continue
        assert outcome.blocked is not None
        until = outcome.moments[-1].returned
        before = sum(call.returned < until for call in calls if call.returned != FOREVER)
        assert outcome.returns == before
        prefix = [
            call if call.returned < until else msgspec.structs.replace(call, returned=FOREVER)
            for call in calls
            if call.invoked < until
        ]
        assert search(prefix, model, Budget(timeout_s=60)).linearizable is True


@needs_histories
def test_all_histories_that_concern_this_checker_are_here() -> None:
    assert len(_KNOSSOS) == 42
    assert len(_PORCUPINE) == 55
    assert {name.rsplit(".", 1)[1] for name, _, _ in _CASES} == {"edn", "log", "txt"}


@needs_histories
def test_the_etcd_logs_cost_a_search_of_few_configurations() -> None:
    total = 0
    for name in _PORCUPINE:
        if name.endswith(".log"):
            for calls in calls_of(_recorded(f"porcupine/{name}"), MODELS["cas-register"]).values():
                total += search(calls, MODELS["cas-register"], Budget()).explored
    assert total <= 5_000


@needs_histories
@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        ("jc_0.1_500_1", "cas-register", "valid"),
        ("jcbad_0.1_500_1", "cas-register", "invalid"),
        ("cascrash20_2", "cas-register", "valid"),
        ("queuecrash_20_200", "fifo-queue", "valid"),
        ("m12k2_2", "multi-register", "valid"),
        ("cn30_2", "counter", "valid"),
    ],
)
def test_a_history_in_which_many_clients_crashed_is_decided(name: str, model: str, said: str) -> None:
    verdict = check(_recorded(f"hard/{name}.jsonl"), model=model, timeout_s=120)
    assert verdict.outcome == said, verdict.reason
