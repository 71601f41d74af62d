"""Disks of their own for nodes in containers, so that a power cut takes what was not synced whatever the program is."""
