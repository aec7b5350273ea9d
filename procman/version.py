"""The version of procman, which setup.cfg reads too."""

VERSION = "0.2.0.dev0"
