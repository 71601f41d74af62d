"""The command `splitbrain-store`.

Begin with `main`. `serve` runs a node; `key_commands` and `cluster_commands` talk to one through `queries`.
`arguments` checks what was typed, `tables` prints what came back.
"""
