"""A store whose memory is short says so, and loses nothing that it had acknowledged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys
from pathlib import Path
from splitbrain.store.actions import Record
from splitbrain.store.storage.engine import EngineError, SqliteEngine

engine = SqliteEngine(Path(sys.argv[1]))
# Of all of SQLite in this process; it can't be taken back.
engine._writer.execute("PRAGMA hard_heap_limit = 2000000").fetchall()
kept, refused = [], []
for power in range(10, 24):
    key = b"%d" % power
    try:
        engine.commit((Record("data", key, b"v" * 2**power), Record("ring", key, b"r")))
        kept.append(power)
    except EngineError as problem:
        refused.append(str(problem))
        break
print(json.dumps([kept, refused]))
"""


def test_a_commit_for_which_memory_does_not_suffice_is_an_error_of_the_engine(tmp_path: Path) -> None:
    from splitbrain.store.storage.engine import SqliteEngine

    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    kept, refused = json.loads(done.stdout)
    assert kept and refused == [
        f"can't write {tmp_path}/store.sqlite (memory is short): give the node more memory, or smaller values"
    ]
    engine = SqliteEngine(tmp_path)
    try:
        for power in range(10, 24):
            found, beside = engine.get("data", b"%d" % power), engine.get("ring", b"%d" % power)
            assert (found, beside) == ((b"v" * 2**power, b"r") if power in kept else (None, None))
    finally:
        engine.close()
