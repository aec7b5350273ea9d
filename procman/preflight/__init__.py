"""The checks before an install: pure functions of what `procman check` found out (inputs.py), listed in registry.py."""
