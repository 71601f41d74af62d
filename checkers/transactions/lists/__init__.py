"""Transactions that append to lists.

A read returns the whole list, so the order of a key's versions is recovered from the reads alone.

- `list_versions`: the order of each key's versions, and where each read stands in it. Begin here.
- `list_anomalies`: anomalies of what reads return, other than cycles
- `list_append`: how the transactions depend on each other
"""
