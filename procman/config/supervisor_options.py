"""The options of a supervisord program section: supervisord ignores a misspelt one silently, so procman checks them."""

from __future__ import annotations

FREE = frozenset(
    {
        "exitcodes",
        "priority",
        "serverurl",
        "startretries",
        "stderr_capture_maxbytes",
        "stderr_events_enabled",
        "stderr_syslog",
        "stdout_capture_maxbytes",
        "stdout_events_enabled",
        "stdout_syslog",
    }
)
"""Options that may be set as they are."""

RESERVED = {
    "autorestart": "a worker that exits by itself must come back, whatever its exit status",
    "autostart": "use the key autostart",
    "command": "it is what procman is for",
    "directory": "use the key directory in [project]",
    "environment": "the start script sets the environment: use [environment]",
    "killasgroup": "without it a killed worker leaves its pool processes behind",
    "numprocs": "it renames the program: use the key instances",
    "numprocs_start": "use the key instances",
    "process_name": "it renames the program",
    "redirect_stderr": "Celery logs to stderr, and one file is rotated, not two",
    "startsecs": "use the key start_seconds",
    "stderr_logfile": "root opens the log: it stays in a directory of root's",
    "stderr_logfile_backups": "use the key log_backups",
    "stderr_logfile_maxbytes": "use the key log_max_mib",
    "stdout_logfile": "root opens the log: it stays in a directory of root's",
    "stdout_logfile_backups": "use the key log_backups",
    "stdout_logfile_maxbytes": "use the key log_max_mib",
    "stopasgroup": "a stop signal to the pool processes kills the tasks they run",
    "stopsignal": "Celery finishes its tasks on TERM, and on nothing else",
    "stopwaitsecs": "use the key stop_timeout_seconds",
    "umask": "use the key umask",
    "user": "use the key user in [project]",
}
"""Options that a promise of procman rests on, or that have a key of their own, each with what to do instead."""
