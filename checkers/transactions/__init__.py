"""Transactions over lists and registers: which anomalies a history shows, and which consistency models that rules out.

`check` judges a history; `isolation` has the rules. In the order of the work:

- micro_operations: transactions taken apart, and what is refused
- lists, registers: the order of a key's versions; keys: what may be taken for granted of it
- list_anomalies, register_anomalies, lost_updates: what contradicts it
- list_append, rw_register: how transactions depend on each other; dependencies: what these are
- graph, cycles, reachability: which kinds of cycles there are
- shortest, explain, telling: the smallest of them, in words and as data
- anomalies, consistency: their names, and the consistency models they rule out
"""

from splitbrain.checkers.transactions.isolation import check as check
