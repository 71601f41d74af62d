"""What this node has on disk.

Begin with `replica`: the versions that the node holds, and how they become durable. `engine` is the disk below it,
`write_buffer` the memory above it. `tokens` records which ranges of the ring the node answers for.
"""
