"""Find a Django project, import the programs it already has, and write its procman.toml."""
