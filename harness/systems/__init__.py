"""Systems under test, one a file, each registered through the entry-point group `splitbrain.systems`."""
