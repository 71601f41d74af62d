"""Processes: nodes as processes of this machine, which talk by lines of JSON over standard input and output.

The harness carries every message, so it can lose, delay and withhold each one, and keeps a log of all. `envelopes` is
what a line is, `process_machine` one node's process, `processes_environment` the place to run. `message_log` writes the
log, and `keeper` ends what a killed harness would leave behind. Begin reading at `processes_environment`.
"""

from splitbrain.harness.processes.processes_environment import ProcessesEnvironment, Talking

__all__ = ["ProcessesEnvironment", "Talking"]
