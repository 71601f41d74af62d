"""The reference store as a system under test.

`system.SYSTEM` is what is registered; `image` says what a node in a container is made of. Begin reading at `system`.
"""
