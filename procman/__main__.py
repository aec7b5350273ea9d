"""`python -m procman`, and the console script."""

from __future__ import annotations

import gc
import sys

GARBAGE = 100_000
"""Objects made before Python looks for garbage; no import makes so many, and looking takes a sixth of `status`."""


def main() -> None:
    """Run the command line and exit with its status (U2)."""
    gc.set_threshold(GARBAGE)
    from procman.cli.main import run  # not earlier: this is most of what is imported

    status = run(sys.argv[1:])
    gc.freeze()  # what is left ends with the process: nothing of it needs to be looked through once more
    sys.exit(status)


if __name__ == "__main__":
    main()
