"""Trials of stops: workers of one supervisord, side by side, whose stops a store of the tests' own records."""
