"""Histories: what a test recorded, read from any format into columns, and the parts that all checkers share.

Begin with `event` (one line) and `history` (all of them).

- `event`, `history`: an event, an operation, a history. `columns`, `builder`: the same by field; the rules that events
  obey.
- `formats`: which format a file has. `jepsen`, `jepsen_log`, `json_array`: Jepsen's and Elle's histories and logs.
- `notation`: EDN itself. `nesting`: how deep values may be nested.
- `told_arguments`: what an operation asked for, where only its completion tells.
- `faults`, `final_reads`, `replica_polls`: what the nemesis, the final reads and the replica polls show.
- `values`, `prose`: comparing values; numbers, times and lists in sentences.
"""
