"""The models that come with splitbrain: `registers`, `kv`, `containers` (set, queues, stack), `counters` (and mutex).

Each module opens with what the operations and the initial value mean. Begin reading at `registers`; `model`, a folder
up, is what all of them implement. `linearizable` lists them by name.
"""
