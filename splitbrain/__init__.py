"""splitbrain."""
