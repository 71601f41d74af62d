"""The reference store as a system under test.

`store_system.SYSTEM` is what is registered; `store_image` says what a node in a container is made of. Begin reading at
`store_system`.
"""
