"""The entry point of `python -m procman` and of the console script."""

from __future__ import annotations

import gc
import os
import sys

GARBAGE = 100_000
"""Allocations before a garbage collection. Imports make fewer, and collections take a sixth of the time of `status`."""

UNKNOWN = 3
"""The exit status of a monitoring plugin for an unknown condition (U2)."""


def main() -> None:
    """Run the command line and exit with its status (U2)."""
    _open_what_is_closed()
    gc.set_threshold(GARBAGE)
    _check_code()
    if sys.argv[1:2] == ["heal"] and sys.argv[2:3] == ["--state"] and sys.argv[4:] == ["--listen"]:
        from procman.cli.heal_listener import listen  # without Click, because it runs for months

        return listen(sys.argv[3])
    from procman.cli.main import run  # late, because it imports nearly everything

    status = run(sys.argv[1:])
    gc.freeze()  # the process ends: a last garbage collection would be wasted
    sys.exit(status)


def _open_what_is_closed() -> None:
    """Open the null device for each closed standard stream, so that no other file gets its descriptor."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free descriptor is the one of the closed stream.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _check_code() -> None:
    """Exit if this is root and other users can modify the code that it runs (S3)."""
    from procman.config.trust import require_trusted_code
    from procman.errors import ConfigurationError

    try:
        require_trusted_code(os.environ)
    except ConfigurationError as error:
        print(f"procman: {error.message}\n  {error.hint}", file=sys.stderr)  # noqa: T201
        sys.exit(UNKNOWN if "health" in sys.argv[1:] else error.exit_status)


if __name__ == "__main__":
    main()
