"""The checks before an install: pure functions of the facts in inputs.py, listed in registry.py."""
