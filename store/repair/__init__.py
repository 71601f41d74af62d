"""How replicas converge.

Three mechanisms: `hinted_handoff` (a write for a node that could not be reached), `read_repair` (a get found a stale
replica) and `anti_entropy` (two replicas compare Merkle trees: `merkle`, `hosted`). `tombstone_gc` deletes tombstones
once no older version is left anywhere. `pages` reads a range piece by piece. Begin with `hinted_handoff`.
"""
