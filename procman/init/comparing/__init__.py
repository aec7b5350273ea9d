"""Compare existing programs with those of a procman.toml, value by value (`init --compare`)."""
