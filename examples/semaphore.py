"""A model of one's own: a semaphore with two permits.

    splitbrain check semaphore.jsonl --checker linearizable --model semaphore:Semaphore

It is invalid: three processes hold a permit at once. A model says where the object starts, and in which states an
operation may leave it: none if the operation can't happen. docs/linearizability.md has the rules, and the hints that
make the search faster.
"""

from splitbrain import Call, Model

PERMITS = 2


class Semaphore(Model):
    """`acquire` takes a permit if one is free, `release` gives it back."""

    name = "semaphore"
    initial = 0  # permits that are taken
    fs = frozenset({"acquire", "release"})

    def step(self, state: int, call: Call) -> tuple[int, ...]:
        if call.f == "acquire":
            return (state + 1,) if state < PERMITS else ()
        return (state - 1,) if state else ()

    def describe(self, state: int) -> str:
        return f"{state} of {PERMITS} permits taken"
