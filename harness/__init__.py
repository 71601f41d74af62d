"""The harness: runs a workload against a system in an environment under faults, and judges what was recorded.

`run.run(Experiment(...))` does all of it. What it is made of: `generators` say what to do, `interpreter` does it and
`recorder` writes it down, `nemesis` does the harm, `environment` and `system` are the protocols of where and what;
`simulation` and `hosts` are environments, `systems` holds systems. `cli` and `plugin` are the doors.
"""
