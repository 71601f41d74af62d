"""How tokens move between nodes, so that reads and writes stay safe while the ring changes.

Begin with `sender`, whose opening has the protocol; `receiver` is its other side, and `outbound` what a sender keeps of
a transfer. `reclaim` finds tokens that no node holds, `surplus` drops one that is held too often, and `cleanup` deletes
keys that are not this node's any more. Which tokens this node holds is in `storage/tokens.py`.
"""
