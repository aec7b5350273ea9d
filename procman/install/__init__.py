"""Managed files on disk: reads and compares them, writes changes, and keeps the generations to roll back to."""
