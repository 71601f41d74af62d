"""Versions of registers: which write a read returned, and which versions are newer.

Two kinds of registers. Where every written value is distinct, a read names its write (`distinct_writes`). Versioned
registers return sibling versions, and a put records which versions its context covered (`writes`). Begin with `writes`:

- `writes`: the puts of versioned registers, what each had seen, and what each supersedes
- `version_order`: the causal order of a key's versions, as vector clocks
- `reads`: what each read of a versioned register covered
- `visibility`: the last read that saw each write, and the last that missed it
- `distinct_writes`: registers with distinct writes, as columns
"""
