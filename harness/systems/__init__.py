"""Systems under test: each is a file or a folder, registered through the entry-point group `splitbrain.systems`.

Nothing else in the harness names a system. `dynamo` is the reference store; begin reading at `dynamo`. `toys` offers
the interfaces that the store can't.
"""

DEFAULT = "dynamo"
"""The system that is tested where none is named."""
