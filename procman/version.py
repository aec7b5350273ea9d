"""The version of procman; setup.cfg reads it too."""

VERSION = "0.2.0.dev0"
