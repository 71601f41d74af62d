"""`python -m splitbrain`: the command, where its script is not on the path."""

from splitbrain.harness.doors.cli import main

main()
