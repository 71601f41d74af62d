"""Generators: pure values that say what the clients and the nemesis do, and when.

    clients(
        time_limit(60, stagger(1 / rate, mix(seed, (3, adds), (1, repeat(Invocation("read"))))), seed=seed)),
        time_limit(60, faults.generator),
    )

Begin reading at `core`: what a generator is. `order` has sequences, repetitions and choices; `pace` schedules;
`threads` restricts generators to threads; `transforms` maps and filters invocations.
"""

from splitbrain.harness.generators.core import (
    NOTES,
    NOTHING,
    PENDING,
    Context,
    Generator,
    Once,
    Pending,
    Source,
    Step,
    Test,
    Thread,
    lift,
    seconds,
)
from splitbrain.harness.generators.order import (
    any_of,
    cycle,
    flip_flop,
    limit,
    mix,
    numbered,
    once,
    repeat,
    sequence,
    unfold,
)
from splitbrain.harness.generators.pace import delay, sleep, stagger, time_limit
from splitbrain.harness.generators.threads import (
    clients,
    each_process,
    each_thread,
    nemesis,
    on_threads,
    phases,
    process_limit,
    reserve,
    synchronize,
)
from splitbrain.harness.generators.transforms import (
    concurrent_keys,
    filter_ops,
    log,
    map_ops,
    sequential_keys,
    stage,
    until_ok,
)

__all__ = [
    "NOTES",
    "NOTHING",
    "PENDING",
    "Context",
    "Generator",
    "Once",
    "Pending",
    "Source",
    "Step",
    "Test",
    "Thread",
    "any_of",
    "clients",
    "concurrent_keys",
    "cycle",
    "delay",
    "each_process",
    "each_thread",
    "filter_ops",
    "flip_flop",
    "lift",
    "limit",
    "log",
    "map_ops",
    "mix",
    "nemesis",
    "numbered",
    "on_threads",
    "once",
    "phases",
    "process_limit",
    "repeat",
    "reserve",
    "seconds",
    "sequence",
    "sequential_keys",
    "sleep",
    "stage",
    "stagger",
    "synchronize",
    "time_limit",
    "unfold",
    "until_ok",
]
