"""Tasks that write one line each, so that a test can count how often each was done."""
