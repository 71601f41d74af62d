"""EDN, the notation of Jepsen's and Elle's histories. It knows nothing of histories.

`edn` reads and writes it, `edn_scalars` single tokens of it. `edn_fast` turns plain lines into JSON, which is read
faster.
"""
