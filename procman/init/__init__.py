"""Find a Django project, import its existing programs, and write its procman.toml."""
