"""Coordination: what a node does for a client's get, put or delete.

Begin with `reception`, which admits a request. `routing` finds the node that coordinates it; there `put` and `get` are
a state machine each. Both hold a `request` (what they have in common), whose `fanout` says whom to ask, and count
answers with `quorum_count` toward the `quorum` that was asked for. `new_version` is what a put adds to a key's state.
"""
