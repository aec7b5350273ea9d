"""Compare two commands in turn in one run, and report ratios, because machines are noisy."""
