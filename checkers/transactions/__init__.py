"""Transactions over lists and registers: which anomalies a history shows, and which consistency models that rules out.

`check` judges a history; `isolation` has its rules. Begin there. In the order of the work:

- `micro_operations`: parses transactions into micro-operations, and refuses malformed ones
- `lists`, `registers`: the order of each key's versions, and the dependencies that follow from it
- `lost_updates`: an anomaly that both have
- `dependencies`: what ww, wr and rw are
- `graph`, `cycle_kinds`, `reachability`: which kinds of cycles the dependencies have
- `shortest`, `explain`, `wording`: the smallest cycles, in words and as data
- `anomalies`, `consistency_models`: their names, and the consistency models that they rule out
"""

from splitbrain.checkers.transactions.isolation import check as check
