"""Replays: runs again from their folders, in either environment, and the smallest run that shows what a run found.

Begin reading at `replay`, then `shrink`: parameters, strikes, operations, values, in that order. `recorded` reads a
run's folder, `scripted` plays its operations again, `finding` says what a failure is.
"""
