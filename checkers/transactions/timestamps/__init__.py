"""Transactions that say when they committed: whether these times explain what was read.

- `stamped`: histories with timestamps, as columns
- `transaction_order`: judges them. Begin here.
- `breaches`: what is wrong, in words
"""

from splitbrain.checkers.transactions.timestamps.transaction_order import check as check
