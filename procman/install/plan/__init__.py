"""Compares what should be on disk with what is there, and writes the difference."""
