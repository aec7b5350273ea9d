"""Tasks that leave one line each, so that a test can count what was done exactly once."""
