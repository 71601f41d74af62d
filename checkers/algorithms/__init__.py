"""Algorithms that several checkers share: graphs, sorted tables, quantiles. None knows what a history is.

- `cycles`: edges on a cycle, shortest cycles and paths
- `dominance`: counting the entries below a bound, for many ranges at once
- `predecessors`: the last row of a group before a given row
- `quantiles`: percentiles by nearest rank
- `quickxplain`: a minimal conflicting subset
"""
