"""Eventual consistency: what such a store promises once it has had the time, and how far behind it was until then.

- `lost_writes`: no acknowledged write vanished. It hands a history to `lost_elements` (sets; what their reads show is
  in `element_reads`) or `lost_versions` (versioned registers; what became of each write is in `register_fates`).
  `acknowledged` draws verdict and witness for all.
- `carts`: no item added to a shopping cart is gone, unless something took it out.
- `convergence`: after the heal all replicas came to hold the same; `replica_states` follows their polls.
- `siblings`: how many versions were read at once. `staleness`: how many versions, and how long, reads were behind.

Begin with `acknowledged`: it says what an acknowledgement promises, and when that is broken.
"""
