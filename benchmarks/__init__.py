"""What is measured: always two commands in turn in one run, told as ratios, for machines are noisy."""
