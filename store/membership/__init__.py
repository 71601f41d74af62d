"""Who is in the ring, and which of them answer.

Begin with `membership`: one node's copy of the history of joins and leaves. `history` folds such a history into a ring.
`failure_detector` is this node's opinion of its peers: it steers routing, and never changes the ring.
"""
