"""One reader per format of process files, and what they share; each returns a `Reading`."""
