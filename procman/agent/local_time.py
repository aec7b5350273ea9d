"""Show a moment as the local time of this host, with its zone."""

import time


def local_time(seconds: float, now: float) -> str:
    """Return a moment near `now`, both in seconds since the epoch, such as `04:00:00 CET` or `Mon 30 Nov 04:00 CET`.

    Within the next minute it has seconds; a moment of another day has its date.
    """
    try:
        there, here = time.localtime(seconds), time.localtime(now)
    except (OverflowError, ValueError, OSError):
        return "an unknown time"
    if there[:3] != here[:3]:
        return time.strftime("%a %d %b %H:%M %Z", there)
    return time.strftime("%H:%M:%S %Z" if abs(seconds - now) < 60 else "%H:%M %Z", there)
