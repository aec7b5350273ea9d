"""Read procman.toml into a frozen Project; the fields of the records define the keys."""
