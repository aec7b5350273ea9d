"""The checks before an install: pure functions of what `procman check` found out (facts.py), listed in table.py."""
