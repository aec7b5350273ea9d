"""Scripts that run once on the project's own Python, and the records of their answers."""
