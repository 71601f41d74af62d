"""Programs that run on a node, sent over as text or by standard input: they import nothing of splitbrain.

`packet_queue` degrades links, `undo_log` plays back what a disk has not synced. Each is Python 3 without packages.
"""
