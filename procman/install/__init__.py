"""Files on disk: what is there, what would change, the writing, and the generations that can be brought back."""
