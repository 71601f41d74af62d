"""What a value is: versions of a key, the clocks that order them, and how siblings become one value.

Begin with `dotted`: dots, dotted version vectors, and merging. `clocks` applies the cluster's configuration to it
(`truncation`, `hlc`); `context` is what a client gets and gives back; `dots` assigns dots to forwarded puts. Clients
resolve siblings with `resolvers` and `crdts`.
"""
