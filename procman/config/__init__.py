"""procman.toml, read into a frozen Project; the fields of the records say which keys there are."""
