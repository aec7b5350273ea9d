"""What `procman health` looks at: one function per check, listed in `registry`."""
