"""Linearizability: could the operations have taken effect one after the other, each within its own duration?

`check` judges a history by a model: one of `MODELS`, or a `Model` of your own, which needs a `step` and no more.
Start reading at `search`, which opens with its rules; `zones` and the other polynomial algorithms judge what they can.
"""

from splitbrain.checkers.linearizability.linearizable import MODELS, check
from splitbrain.checkers.linearizability.model import Call, Model

__all__ = ["MODELS", "Call", "Model", "check"]
