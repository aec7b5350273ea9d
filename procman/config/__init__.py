"""procman.toml: every key in one table, read into a frozen Project."""
