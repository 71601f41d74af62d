"""Service: how clients were served, and whether the test itself was meaningful. These checkers take any operations.

- `availability`: the share of operations that were ok, by fault; silences; the time to recover. `latency`: percentiles.
- `thresholds`: bounds on what these two measure.
- `stats`: operations by kind and outcome. `unhandled_errors`: errors by code. `log_patterns`: the nodes' own logs.
- `evidence`: whether the test can show anything. It rests on `observations`, what the test did, and on `write_outage`:
  no write succeeds any more after a fault.

Begin with `evidence`: its rules say what a test needs for its other verdicts to count.
"""
