"""The version of procman, which setup.cfg reads too."""

VERSION = "0.1.0"
