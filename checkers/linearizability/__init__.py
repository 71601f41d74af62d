"""Linearizability: could the operations have taken effect one after the other, each within its own duration?

`check` judges a history by a model: one of `MODELS`, or a `Model` of your own, which needs a `step` and no more.

Begin reading at `linearizable`, the checker, and go on to `search`, which opens with its rules. `calls` turns a history
into what models see, `model` says what a model is, and `witness` explains what is not linearizable. The folder `models`
holds the models, and `polynomial` the algorithms that judge some histories without a search.
"""

from splitbrain.checkers.linearizability.linearizable import MODELS, check
from splitbrain.checkers.linearizability.model import Call, Model, Refused

__all__ = ["MODELS", "Call", "Model", "Refused", "check"]
