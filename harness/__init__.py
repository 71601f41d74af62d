"""The harness: runs a workload against a system under faults, records what happened, and has it judged.

Begin reading at `running.run`, which does all of it. The protocols stand at the top: `system` (what is tested),
`environment` (where it runs), `workload` (what clients do). The rooms:

- `running`: an experiment from its preparation to its result, with interpreter, recovery and final phase
- `generators`: which operation comes next, and when
- `nemesis`: the fault families, and the schedule on which they are injected
- `simulation`: the environment `sim` with virtual time, and simulated network, disks and machines
- `hosts`: the environments `docker` and `ssh`: real machines over SSH, and partitions by iptables
- `systems`: systems under test
- `report`: the HTML report of a run
- `doors`: command line and pytest plugin
"""
