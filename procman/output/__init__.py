"""Data to text for people and for machines."""
