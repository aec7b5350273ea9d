"""Format data as text for people and for programs."""
