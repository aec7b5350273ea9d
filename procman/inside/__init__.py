"""What runs on the project's own Python: syntax of Python 3.6, standard library only, nothing of procman imported."""
