"""What clients do, and what must then hold: one workload a file, each ending in its `WORKLOAD`."""
