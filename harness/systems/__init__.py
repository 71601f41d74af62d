"""Systems under test: each is a file or a folder, registered through the entry-point group `splitbrain.systems`."""
