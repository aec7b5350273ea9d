"""Every key of procman.toml, once: the loader, the JSON Schema, the docs and what `init` writes come from here.

What stands here of Celery's options, Celery 4.4 has already, so that no key says since when.
"""

from __future__ import annotations

from dataclasses import dataclass

from procman.config import value_types
from procman.config.systemd_directives import OLDEST_VERSION
from procman.config.value_types import Type


@dataclass(frozen=True)
class Key:
    """One key of one table.

    `default` is as in TOML; None means that the key may be left out and `help` says what happens then.
    """

    name: str
    type: Type
    help: str
    default: object = None
    required: bool = False


PROJECT = (
    Key("name", value_types.NAME, "Prefixes everything installed: programs are called NAME-KEY.", required=True),
    Key("app", value_types.APP, "The Celery app, as in celery -A.", required=True),
    Key("directory", value_types.SEARCH_PATH, "The working directory, first on PYTHONPATH.", required=True),
    Key("virtualenv", value_types.SEARCH_PATH, "The virtualenv whose Python runs Celery.", required=True),
    Key("settings", value_types.MODULE, "DJANGO_SETTINGS_MODULE. Left out: the app's own default."),
    Key("user", value_types.USER, "The user the programs run as. Needed in system scope, not allowed in user scope."),
    Key("group", value_types.USER, "The group the programs run as, under systemd. Left out: the user's own group."),
    Key(
        "scope",
        value_types.choice("system", "user"),
        "Whom procman works for: the host (as root) or one user.",
        "system",
    ),
    Key(
        "backend",
        value_types.choice("supervisor", "systemd"),
        "The process manager that keeps the programs running.",
        "supervisor",
    ),
    Key(
        "environment_file",
        value_types.PATH,
        "Secrets, in the syntax of systemd's EnvironmentFile=; readable by root and the service user only.",
    ),
    Key("public", value_types.VARIABLES, "Variables of [environment] that look like secrets and are none.", ()),
    Key("python_path", value_types.SEARCH_PATHS, "Directories on PYTHONPATH behind the project's own.", ()),
    Key("writable_paths", value_types.PATHS, "Directories the tasks write to, such as MEDIA_ROOT.", ()),
    Key("after", value_types.UNITS, "Units to start after, such as the broker's.", ()),
    Key(
        "templates",
        value_types.PATH,
        "A directory with templates of your own; each replaces procman's of the same name.",
    ),
)

PROGRAM = (
    Key("autostart", value_types.FLAG, "Start it when the host or supervisord starts.", True),
    Key(
        "stop_timeout_seconds",
        value_types.integer(1, 604_800),
        "How long a stop waits for running tasks before it kills: at least the longest task. "
        "Left out: 600 for a worker, 60 for the rest.",
    ),
    Key(
        "start_seconds",
        value_types.integer(0, 3600),
        "How long it must stay up to count as started; longer than the app takes to import.",
        10,
    ),
    Key(
        "nice", value_types.integer(-20, 19), "Scheduling priority, 19 being the lowest; below 0 only with systemd.", 0
    ),
    Key("umask", value_types.UMASK, "Permissions that new files do not get.", "022"),
    Key("log_max_mib", value_types.integer(1, 1_048_576), "Size in MiB at which the log is rotated.", 50),
    Key("log_backups", value_types.integer(0, 1000), "Rotated logs to keep.", 10),
    Key(
        "launcher",
        value_types.FLAG,
        "Start through procman's launcher. false gives the plain command, without environment_file, "
        "without waiting for the process before it, and without an end when supervisord is killed.",
        True,
    ),
    Key(
        "memory_high_mib",
        value_types.integer(1, 2**24),
        "MemoryHigh=: MiB of memory above which it is slowed down. Only with systemd.",
    ),
    Key(
        "memory_max_mib",
        value_types.integer(1, 2**24),
        "MemoryMax=: MiB of memory above which the kernel kills one of its processes. Only with systemd.",
    ),
    Key(
        "cpu_weight",
        value_types.integer(1, 10_000),
        "CPUWeight=: its share of the processors when they are short; 100 is anybody's. Only with systemd.",
    ),
    Key(
        "tasks_max",
        value_types.integer(1),
        "TasksMax=: processes and threads it may have; a worker with numpy needs hundreds. Only with systemd.",
    ),
    Key("heal", value_types.FLAG, "Restart it when it is found unsound. Left out: as [health] says."),
    Key(
        "stall_seconds",
        value_types.integer(2, 604_800),
        "How long messages may wait while it does nothing. Left out: as [health] says.",
    ),
    Key(
        "memory_restart_mib",
        value_types.integer(1, 2**24),
        "MiB that it and its processes may use together; above it is restarted, warm. Left out: as [health] says.",
    ),
)

_EXTRA = Key(
    "extra_arguments", value_types.TEXTS, "Further options of Celery, added to its command line as they are.", ()
)

WORKER = (
    Key("loglevel", value_types.LOGLEVEL, "-l: the least that is logged.", "info"),
    Key("queues", value_types.QUEUES, "-Q: the queues to consume. Left out: those of the app.", ()),
    Key("exclude_queues", value_types.QUEUES, "-X: queues of the app not to consume.", ()),
    Key("concurrency", value_types.integer(1, 10_000), "-c: pool processes or threads. Left out: as the app says."),
    Key(
        "pool",
        value_types.POOL,
        "-P: what runs the tasks. Left out: as the app says, which from Celery 5 on also goes before prefork.",
    ),
    Key("autoscale", value_types.AUTOSCALE, "--autoscale: most and fewest pool processes; instead of concurrency."),
    Key(
        "prefetch_multiplier",
        value_types.integer(1, 10_000),
        "--prefetch-multiplier: messages reserved per pool process. Celery takes 0 here for left out: "
        "for no limit the app sets worker_prefetch_multiplier = 0.",
    ),
    Key(
        "max_tasks_per_child",
        value_types.integer(1),
        "--max-tasks-per-child: tasks after which a pool process is replaced.",
    ),
    Key("max_memory_per_child_kib", value_types.integer(1), "--max-memory-per-child: KiB at which it is replaced."),
    Key("time_limit_seconds", value_types.SECONDS, "--time-limit: a task is killed after this."),
    Key("soft_time_limit_seconds", value_types.SECONDS, "--soft-time-limit: a task gets an exception after this."),
    Key(
        "optimization",
        value_types.choice("default", "fair"),
        "-O: fair gives a task only to a pool process that is idle.",
    ),
    Key("events", value_types.FLAG, "-E: send events, for monitors and admin pages.", False),
    Key("hostname", value_types.NODE_NAME, "-n: the node name. Left out: NAME-KEY@%h; instances are numbered."),
    Key("without_gossip", value_types.FLAG, "--without-gossip: take no notice of the events of other workers.", False),
    Key("without_mingle", value_types.FLAG, "--without-mingle: do not ask other workers at the start.", False),
    Key("without_heartbeat", value_types.FLAG, "--without-heartbeat: send no heartbeat to monitors.", False),
    Key("instances", value_types.integer(1, 1000), "How many of it to run; above 1 the names are numbered.", 1),
    _EXTRA,
)

BEAT = (
    Key("loglevel", value_types.LOGLEVEL, "-l: the least that is logged.", "info"),
    Key(
        "schedule_file",
        value_types.PATH,
        "-s: where beat remembers when things last ran. Left out: celerybeat-schedule in the project's data directory.",
    ),
    Key("scheduler", value_types.SCHEDULER, "-S: the scheduler class. Left out: as the app says."),
    Key(
        "max_interval_seconds",
        value_types.integer(1),
        "--max-interval: longest sleep between two looks at the schedule.",
    ),
    _EXTRA,
)

COMMAND = (
    Key("argv", value_types.WORDS, "The command, word by word; looked up in the virtualenv first.", required=True),
    Key("instances", value_types.integer(1, 1000), "How many of it to run; above 1 the names are numbered.", 1),
)

SUPERVISOR = (
    Key(
        "mode",
        value_types.choice("existing", "embedded"),
        "Whose supervisord: one that is there, or procman's own, shared by the projects of the scope. "
        "Left out: existing in system scope, embedded in user scope.",
    ),
    Key(
        "configuration",
        value_types.PATH,
        "supervisord's own file. Left out: /etc/supervisor/supervisord.conf, in system scope. Not with embedded.",
    ),
    Key(
        "include",
        value_types.INCLUDE,
        "The pattern in the [include] section of that file which procman's files are to match. "
        "Left out: as Debian or Red Hat ship it, if configuration is theirs. Not with embedded.",
    ),
    Key(
        "supervisord",
        value_types.PATH,
        "The supervisord command, such as /opt/procman/bin/supervisord, that systemd is to start procman's own with, "
        "at boot too. Left out: no unit is written, and procman starts its own by itself. Only with embedded.",
    ),
    Key(
        "extend_stop_timeout",
        value_types.FLAG,
        "Have the systemd unit of an existing supervisord wait at a stop for as long as its programs may take, by a "
        "drop-in that every install and uninstall sizes anew. Only in system scope, for Debian's and Red Hat's.",
        False,
    ),
)

INCLUDES = {
    "/etc/supervisor/supervisord.conf": "/etc/supervisor/conf.d/*.conf",
    "/etc/supervisord.conf": "/etc/supervisord.d/*.ini",
}
"""What the distributions ship as `[include] files`, by the place of supervisord's file (Debian, Red Hat)."""

SUPERVISOR_UNITS = {
    "/etc/supervisor/supervisord.conf": "supervisor.service",
    "/etc/supervisord.conf": "supervisord.service",
}
"""The units of their packages, by the same."""

SYSTEMD = (
    Key(
        "minimum_version",
        value_types.integer(OLDEST_VERSION, 999),
        "The oldest systemd that the units are for. Newer directives are not written.",
        249,
    ),
    Key(
        "sandbox",
        value_types.choice("default", "strict", "off"),
        "How much of the host the programs are kept from. Not all of it can be had in user scope.",
        "default",
    ),
    Key(
        "log",
        value_types.choice("journal", "file"),
        "Where the programs log to: systemd's journal, or a file each that logrotate rotates.",
        "journal",
    ),
)

HEALTH = (
    Key(
        "heal", value_types.FLAG, "Restart what is found unsound; never what is busy, stopped on purpose or held.", True
    ),
    Key("heartbeat_seconds", value_types.integer(1, 3600), "How often a worker or beat says how it is.", 5),
    Key(
        "stale_seconds",
        value_types.integer(2, 86_400),
        "Age at which what it says no longer counts; at least twice heartbeat_seconds.",
        30,
    ),
    Key(
        "stall_seconds",
        value_types.integer(2, 604_800),
        "How long messages may wait while a worker does nothing, or reserved ones without any progress.",
        300,
    ),
    Key(
        "watchdog_seconds",
        value_types.integer(2, 86_400),
        "WatchdogSec=: how long a main process may be frozen before systemd restarts it; at least twice "
        "heartbeat_seconds.",
        30,
    ),
    Key("interval_seconds", value_types.integer(1, 3600), "How often the programs are looked at from outside.", 30),
    Key(
        "failures",
        value_types.integer(1, 1000),
        "How many looks in a row must find the same before anything is done.",
        3,
    ),
    Key(
        "restarts_per_hour",
        value_types.integer(0, 1000),
        "How often a program is restarted for its health within an hour; after that it is only reported.",
        3,
    ),
    Key(
        "memory_restart_mib",
        value_types.integer(1, 2**24),
        "MiB that a program and its processes may use together; above it is restarted, warm. Left out: no limit.",
    ),
    Key(
        "free_space_mib",
        value_types.integer(1, 2**40),
        "Free MiB below which a disk is reported; below a tenth of it as critical.",
        500,
    ),
    Key(
        "management_url",
        value_types.HTTP_URL,
        "RabbitMQ's management interface, such as http://127.0.0.1:15672. User and password are those of the broker.",
    ),
    Key(
        "on_event",
        value_types.EVENT_COMMAND,
        "A command that gets each event as JSON on its standard input, word by word.",
    ),
    Key(
        "procman",
        value_types.PATH,
        "The procman command that looks from outside. Left out: nobody looks, and only a worker or beat that can "
        "still act, or systemd's watchdog, heals.",
    ),
)

SINGLE_TABLES = {
    "project": PROJECT,
    "supervisor": SUPERVISOR,
    "systemd": SYSTEMD,
    "health": HEALTH,
    "beat": (*PROGRAM, *BEAT),
}
NAMED_TABLES = {"worker": (*PROGRAM, *WORKER), "command": (*PROGRAM, *COMMAND)}
DEFAULTS_TABLES = {
    "program": PROGRAM,
    "worker": tuple(key for key in (*PROGRAM, *WORKER) if key.name != "hostname"),
}

SUBTABLES = ("environment", "supervisor", "systemd")
"""Tables that every program can have of its own: `[worker.crop.environment]`."""

TABLES = ("project", "defaults", "environment", "worker", "beat", "command", "supervisor", "systemd", "health")


def place_of(name: str) -> str:
    """Say where a key or table called NAME may stand; empty if nothing is called so."""
    if name in TABLES:
        return f"[{name}] is a table of its own"
    tables = {f"[{table}]": found for table, found in SINGLE_TABLES.items()}
    tables |= {f"[{table}.NAME]": found for table, found in NAMED_TABLES.items()}
    places = [table for table, found in tables.items() if any(key.name == name for key in found)]
    return f"it belongs in {' or '.join(places)}" if places else ""
