"""The backend for systemd, the host's or a user's: rendering, verification, control."""

from __future__ import annotations

from procman.backends.record import Backend, Rule, Watcher


def _path(key: str, refused: str, what: str) -> Rule:
    return Rule(key, f"systemd does not support a path with {what}: rename it", refused)


BACKEND = Backend(
    name="systemd",
    # Characters that cannot be escaped in WorkingDirectory=, in the program of ExecStart= and in EnvironmentFile=.
    rules=(
        _path("project.directory", r"\\$", "a backslash at the end"),
        _path("project.virtualenv", r"[\"'\\*?\[]", "a quote, a backslash, *, ? or ["),
        _path("project.environment_file", r"[*?\[]|\\$", "*, ? or [, or a backslash at the end,"),
        _path("command.directory", r"\\$", "a backslash at the end"),
        _path("command.environment_file", r"[*?\[]|\\$", "*, ? or [, or a backslash at the end,"),
        *(
            Rule(
                f"command.{stream}",
                "systemd has no output of its own, but a journal: remove this key, name a file, or use "
                'backend = "supervisor"',
                "^/dev/",
            )
            for stream in ("stdout", "stderr")
        ),
        _path("health.procman", r"[\"'\\*?\[]", "a quote, a backslash, *, ? or ["),
    ),
    watcher=Watcher.TIMER,
    identity=(),
    own_log="the journal",
    logs_opened_by_root=False,
    environment_file_read_by_root=True,
    stops_removed_together=True,
    installs_unreached=False,
    runs_reload_commands=True,
    has_sandbox=True,
    has_shared_files=False,
)
