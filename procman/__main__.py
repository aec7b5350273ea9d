"""`python -m procman`, and the console script."""

from __future__ import annotations

import sys

from procman.cli.main import run


def main() -> None:
    """Run the command line and exit with its status (U2)."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
