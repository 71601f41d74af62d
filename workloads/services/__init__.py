"""Workloads on services, one interface each: a register, a log, a queue, locks, ids, messages, an echo.

The interfaces are in `harness.interfaces`. Begin reading at `linearizable_register`.
"""
