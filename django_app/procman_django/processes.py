"""Ask the kernel about processes: whether one is still that of a heartbeat, and how much memory it uses."""

import os

MOST_PROCESSES = 500


def is_the_writer(pid, owner, written_at):
    """Return whether process `pid` belongs to the user `owner` and has existed since before `written_at`.

    None: unknown, because this process cannot see others, as in a container or with hidepid=.
    """
    try:
        uid, started_at = os.stat("/proc/%d" % pid).st_uid, _started_at(pid)
    except OSError:
        return None if _is_blind() else False
    if started_at is None:
        return None
    # A later process may have got the same pid.
    return uid == owner and started_at <= written_at + 1


def memory_of(pid):
    """Return the resident bytes of a process and all processes below it; None if they cannot be seen.

    Pages that several of them share are counted for each.
    """
    total, waiting, seen = 0, [pid], 0
    while waiting and seen < MOST_PROCESSES:
        each = waiting.pop()
        seen += 1
        try:
            with open("/proc/%d/statm" % each, encoding="ascii") as file:
                total += int(file.read(200).split()[1]) * os.sysconf("SC_PAGE_SIZE")
            with open("/proc/%d/task/%d/children" % (each, each), encoding="ascii") as file:
                waiting.extend(int(word) for word in file.read(100000).split())
        except (OSError, ValueError, IndexError):
            if each == pid:
                return None
    return total


def boot_id():
    """Return the id of the running boot; None if there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(64).strip()
    except (OSError, ValueError):
        return None


def booted_at():
    """Return when the host was booted, in seconds since the epoch; None if that is unknown."""
    try:
        with open("/proc/stat", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("btime "))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _started_at(pid):
    """Return when a process was started, in seconds since the epoch; None if that is unknown."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8", errors="replace") as file:
            ticks = int(file.read(4096).rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
    booted = booted_at()
    return None if booted is None else booted + ticks / os.sysconf("SC_CLK_TCK")


def _is_blind():
    # Of another user, and always there.
    return os.geteuid() != 0 and not os.path.exists("/proc/1")
