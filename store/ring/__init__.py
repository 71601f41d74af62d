"""Which nodes hold a key.

Begin with `ring`: a key's position, its preference list and its primary replicas. `placement` decides where the nodes'
tokens lie.
"""
