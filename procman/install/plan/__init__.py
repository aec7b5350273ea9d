"""Comparison of what should be on disk with what is, and the writing of the difference."""
