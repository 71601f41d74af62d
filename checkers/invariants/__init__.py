"""Invariants: what must hold in every history of an object, whatever the order of its operations.

Each checker has a file. `bank`: transfers keep the total. `counter`: reads within bounds. `total_queue`: what goes in
comes out, once; `queue_account` assigns what came out to what went in. `unique_ids`. `long_fork`: all reads see writes
in one order. `causal_reverse`: no later write is seen without an earlier one. `kafka`: logs; `kafka_records` has what
was sent and polled. `lock`: leases and fencing tokens. `broadcast`: messages come to every node. A checker refuses, by
line, an operation that its object does not have.

Begin with `unique_ids`, the smallest: rules, `check`, evidence, witness, as in all the others.
"""
