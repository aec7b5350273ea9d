"""`python -m procman`, and the console script."""

from __future__ import annotations

import gc
import os
import sys

GARBAGE = 100_000
"""Objects made before Python looks for garbage; no import makes so many, and looking takes a sixth of `status`."""

UNKNOWN = 3
"""What a monitoring plugin says when it cannot tell (U2)."""


def main() -> None:
    """Run the command line and exit with its status (U2)."""
    _open_what_is_closed()
    gc.set_threshold(GARBAGE)
    _check_code()
    if sys.argv[1:2] == ["heal"] and sys.argv[2:3] == ["--state"] and sys.argv[4:] == ["--listen"]:
        from procman.cli.heal_listener import listen  # without Click: it lives for months

        return listen(sys.argv[3])
    from procman.cli.main import run  # not earlier: this is most of what is imported

    status = run(sys.argv[1:])
    gc.freeze()  # what is left ends with the process: nothing of it needs to be looked through once more
    sys.exit(status)


def _open_what_is_closed() -> None:
    """Have nothing in the place of standard streams that are closed: the next file opened would be taken for one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest descriptor that is free is its own.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _check_code() -> None:
    """End where others could change what root is about to run (S3)."""
    from procman.config.trust import require_trusted_code
    from procman.errors import ConfigurationError

    try:
        require_trusted_code(os.environ)
    except ConfigurationError as error:
        print(f"procman: {error.message}\n  {error.hint}", file=sys.stderr)  # noqa: T201
        sys.exit(UNKNOWN if "health" in sys.argv[1:] else error.exit_status)


if __name__ == "__main__":
    main()
