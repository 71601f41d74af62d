"""Transactions that write registers.

A read returns one version, so the order of a key's versions is only known in part.

- `keys`: what may be assumed of that order under each consistency model. Begin here.
- `register_versions`: the part of the order that follows
- `register_anomalies`: anomalies of what reads return, other than cycles
- `rw_register`: how the transactions depend on each other
"""
