"""The checks of `procman health`: one function per check, listed in `registry`."""
