"""Weak isolation: what a transaction saw must come before what it read, in some one order of all transactions.

- `promises`: which models are decided this way, and by what was seen. Begin here.
- `commit_order`: the orders that follow, as a graph
- `causal_past`: the same where all that led to a transaction was seen by it
- `violations`: which anomaly it is if they are circular, and its explanation
- `cursors`: cursor stability, which is decided by who wrote what it had read
- `prefix_cycles`: the explanation where prefix consistency is broken, which is decided as snapshots are
"""
