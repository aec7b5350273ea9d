"""Scripts that run once on the project's own Python, and what procman learns from each."""
