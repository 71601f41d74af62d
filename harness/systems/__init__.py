"""Systems under test: one folder or file each, registered through the entry-point group `splitbrain.systems`.

Nothing else in the harness names a system. `dynamo` is the reference store; begin reading at `dynamo.store_system`.
"""

DEFAULT = "dynamo"
"""The system that is tested where none is named."""
