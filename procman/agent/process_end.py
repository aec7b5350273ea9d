"""Describe how a process ended, in the same words in heartbeats, states and events."""

import signal

EXIT_STATUS = "exit status "
"""How an end is described that was not by a signal."""

KILLED = "killed by SIGKILL"


def killed_by(number: int) -> str:
    """Return that the signal `number` ended a process."""
    try:
        return "killed by " + signal.Signals(number).name
    except ValueError:
        return "killed by signal {}".format(number)
