"""The backend for supervisord, the host's or procman's own: rendering, verification, control."""

from __future__ import annotations

from procman.backends.record import Backend, Rule, Watcher

ONLY_SYSTEMD = 'supervisord does not support this: {value} needs backend = "systemd"'

BACKEND = Backend(
    name="supervisor",
    rules=(
        *(
            Rule(
                "program.launcher",
                "the launcher reads environment_file: remove launcher = false, or environment_file",
                refused="False",
                beside=f"{table}.environment_file",
            )
            for table in ("project", "command")
        ),
        Rule("program.memory_high_mib", ONLY_SYSTEMD),
        Rule("program.memory_max_mib", ONLY_SYSTEMD),
        Rule("program.cpu_weight", ONLY_SYSTEMD),
        Rule("program.tasks_max", ONLY_SYSTEMD),
        Rule("program.nice", ONLY_SYSTEMD, refused="^-"),
    ),
    watcher=Watcher.EVENT_LISTENER,
    identity=("mode", "configuration", "include"),
    own_log="the output of supervisord",
    logs_opened_by_root=True,
    environment_file_read_by_root=False,
    stops_removed_together=False,
    installs_unreached=True,
    runs_reload_commands=False,
    has_sandbox=False,
    has_shared_files=True,
)
