"""`python -m tests.host [COMMAND...]`: a shell or one command in a disposable host (`make host`)."""

from __future__ import annotations

import subprocess
import sys
import time

from .machine import Host
from .overlay import HostError

SHELL = [
    *("systemd-run", "--pty", "--quiet", "--collect", "--wait", "--working-directory=/root"),
    *("--setenv=TERM", "--setenv=HOME=/root", r"--setenv=PS1=\u@\h:\w\$ ", "--"),
    *("bash", "--noprofile", "--norc"),
]
"""A terminal of the host's own, in a service of its own; the start-up files of the machine's root stay out of it."""


def main() -> int:
    """Boot, run the command, and return its exit status."""
    started = time.monotonic()
    try:
        with Host() as host:
            if len(sys.argv) > 1:
                return subprocess.run(host.entering(sys.argv[1:]), check=False).returncode
            print(
                f"Booted in {time.monotonic() - started:.0f} s. `exit` or Ctrl-D ends the shell, and with it the host.",
                file=sys.stderr,
            )
            return subprocess.run(host.entering(SHELL), check=False).returncode
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
