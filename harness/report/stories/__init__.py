"""Stories: each anomaly as a sentence that a stranger understands, and a drawing that needs no script and prints.

`tell` picks the kind of story that fits the witness. `lost_write` tells the life of a value on each replica.
`linearization` tells an order that was possible, and the call that fits nowhere. `cycle` tells of transactions that
each must come before the next. `contradiction` draws the two or three operations of any other witness.
"""

from splitbrain.harness.report.stories import contradiction, cycle, linearization, lost_write
from splitbrain.harness.report.stories.story import Story, Told

__all__ = ["Story", "Told", "tell"]


def tell(told: Told) -> Story:
    """The story of an anomaly; without a drawing if its witness points at nothing that could be drawn."""
    return (
        lost_write.tell(told)
        or linearization.tell(told)
        or cycle.tell(told)
        or contradiction.tell(told)
        or Story(told.sentence())
    )
