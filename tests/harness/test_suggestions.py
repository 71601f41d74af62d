import pytest

from splitbrain.harness.suggestions import nearest

OPTIONS = ("--env", "--system", "--nodes", "--faults", "--seed", "--time-limit", "--rate", "--concurrency", "--config")


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("rnu", ["run", "report"], "run"),
        ("sest", ["registers", "sets"], "sets"),
        ("regsiters", ["registers", "sets"], "registers"),
        ("PARTITION", ["kill", "partition"], "partition"),
        ("lamb", ["LAMP", "Candle"], "LAMP"),
        ("lin", ["linearizable", "long-fork"], "linearizable"),
        ("lo", ["long-fork", "latency"], None),
        ("lon", ["long-fork", "longest"], None),
        ("gremlins", ["kill", "partition", "pause"], None),
        ("frobnicate", [option.lstrip("-") for option in OPTIONS], None),
        ("", ["kill"], None),
    ],
)
def test_the_nearest_word_is_suggested_and_none_where_none_is_near(word, known, meant):
    assert nearest(word, known) == meant
