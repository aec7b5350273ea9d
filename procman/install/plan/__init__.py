"""Compares the desired files with those on disk, and writes the difference."""
