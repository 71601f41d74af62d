"""How nodes hear of each other.

Begin with `gossip`: rounds in which nodes exchange changes of the membership and heartbeats. `admission` handles joins
and leaves that an operator asks for. `load` is what nodes report of their load, and whether it is balanced.
"""
