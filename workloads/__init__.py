"""Workloads: what clients do, and what must then hold. One workload a file, each ending in its `WORKLOAD`.

Begin reading at `sets`.
"""
