"""The systemd directives that procman writes or that procman.toml may set, with their versions and values.

`since` is the first version of systemd with the directive, from the manual pages of systemd 257 ("Added in version"); 0
if they name none. Directives newer than `[systemd] minimum_version` are not written, so the units never depend on the
machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from procman.quoting.systemd import Value


@dataclass(frozen=True)
class Directive:
    """One directive of a unit file."""

    name: str
    since: int
    page: str
    """The manual page that describes it: systemd.PAGE(5)."""
    value: Value = Value.WORDS
    user: bool = True
    """Whether the systemd of an ordinary user supports it (systemd 252)."""


def _table(page: str, text: str, value: Value = Value.WORDS, *, user: bool = True) -> Iterator[Directive]:
    for entry in text.split():
        name, _, since = entry.partition(":")
        yield Directive(name, int(since or 0), page, value, user)


_FREE = (
    *_table(
        "exec",
        """
        LockPersonality:235 MemoryDenyWriteExecute:231 NoNewPrivileges:187 RestrictAddressFamilies:211
        RestrictNamespaces:233 RestrictRealtime:231 RestrictSUIDSGID:242 SystemCallArchitectures:209
        SystemCallFilter:187 SystemCallLog:247
        CPUAffinity CPUSchedulingPolicy CPUSchedulingResetOnFork CoredumpFilter:246 IOSchedulingClass
        IOSchedulingPriority IgnoreSIGPIPE LogRateLimitBurst:240 LogRateLimitIntervalSec:240 LogLevelMax:236
        OOMScoreAdjust TimerSlackNSec
        LimitAS LimitCORE LimitCPU LimitDATA LimitFSIZE LimitLOCKS LimitMEMLOCK LimitMSGQUEUE LimitNICE LimitNOFILE
        LimitNPROC LimitRSS LimitRTPRIO LimitRTTIME LimitSIGPENDING LimitSTACK
        """,
    ),
    *_table(
        "exec",
        """
        AmbientCapabilities:229 AppArmorProfile:210 CapabilityBoundingSet KeyringMode:235 LogNamespace:245 NUMAMask:243
        NUMAPolicy:243 PrivateDevices:209 PrivateIPC:248 PrivateMounts:239 PrivateNetwork PrivateTmp PrivateUsers:232
        ProcSubset:247 ProtectClock:245 ProtectControlGroups:232 ProtectHome:214 ProtectHostname:242
        ProtectKernelLogs:244 ProtectKernelModules:232 ProtectKernelTunables:232 ProtectProc:247 ProtectSystem:214
        RemoveIPC:232 RestrictFileSystems:250 SELinuxContext:209 SupplementaryGroups
        """,
        user=False,
    ),
    *_table(
        "exec",
        """
        BindPaths:233 BindReadOnlyPaths:233 ExecPaths:231 InaccessiblePaths:231 NoExecPaths:231 ReadOnlyPaths:231
        ReadWritePaths:231 TemporaryFileSystem:238
        """,
        Value.PATHS,
        user=False,
    ),
    *_table(
        "resource-control",
        "CPUQuota:213 MemoryLow:240 MemoryMin:240 MemorySwapMax:232 MemoryZSwapMax:253",
        Value.AMOUNT,
    ),
    *_table("resource-control", "IOWeight:230 ManagedOOMPreference:248 Slice:208"),
    *_table(
        "resource-control",
        "AllowedCPUs:244 AllowedMemoryNodes:244 DeviceAllow:208 DevicePolicy:208 IPAddressAllow:235 IPAddressDeny:235",
        user=False,
    ),
)

_OWN = (
    *_table("unit", "After:201 Before:201 Description:201 PartOf:201 StartLimitIntervalSec:229 WantedBy:201 Wants:201"),
    *_table(
        "service",
        """
        ExecStart NotifyAccess OOMPolicy:243 Restart RestartMaxDelaySec:254 RestartSec RestartSteps:254
        TimeoutAbortSec:243 TimeoutStartSec:188 TimeoutStopSec:188 Type WatchdogSec WatchdogSignal:240
        """,
    ),
    *_table(
        "exec",
        """
        Environment EnvironmentFile LoadCredential:247 Nice RuntimeDirectory:211 RuntimeDirectoryPreserve:235
        StandardOutput SyslogIdentifier SystemCallErrorNumber:209 UMask UnsetEnvironment:235 WorkingDirectory
        """,
    ),
    *_table(
        "exec",
        "Group LogsDirectory:235 LogsDirectoryMode:235 StateDirectory:235 StateDirectoryMode:235 User",
        user=False,
    ),
    *_table("kill", "KillMode:187"),
    *_table("resource-control", "MemoryHigh:231 MemoryMax:231", Value.AMOUNT),
    *_table("resource-control", "CPUWeight:232 TasksMax:227"),
)

FREE = {directive.name: directive for directive in _FREE}
"""Directives that procman.toml may set."""

VALUES_SINCE = {("PrivateTmp", "disconnected"): 257}
"""Values that are newer than their directive, with the first version of systemd that knows them."""

WRITTEN = {directive.name: directive for directive in _OWN}
"""Directives that only procman writes."""

KNOWN = FREE | WRITTEN

_DROP_IN = "put it into a drop-in: systemctl edit UNIT"

RESERVED = {
    "After": "use the key after in [project]",
    "Before": "beat starts after all other programs and stops before them",
    "CPUWeight": "use the key cpu_weight",
    "Description": "procman writes it, to describe the program",
    "DynamicUser": "the lock and the schedule belong to a permanent user: use the key user in [project]",
    "Environment": "use [environment]",
    "EnvironmentFile": "use the key environment_file in [project]",
    "ExecReload": "a reload would restart Celery inside the same unit: use `procman restart`",
    "ExecStart": "procman writes it",
    "ExecStartPost": _DROP_IN,
    "ExecStartPre": _DROP_IN,
    "ExecStop": "systemd itself sends TERM, on which Celery finishes its running tasks",
    "ExecStopPost": _DROP_IN,
    "Group": "use the key group in [project]",
    "KillMode": "any other than mixed loses running tasks or leaves pool processes behind",
    "KillSignal": "procman relies on TERM, on which Celery finishes its running tasks",
    "LoadCredential": "use the key environment_file in [project]",
    "LogsDirectory": "every program has its own, below /var/log",
    "LogsDirectoryMode": "only the user of a program should read its log",
    "MemoryHigh": "use the key memory_high_mib",
    "MemoryMax": "use the key memory_max_mib",
    "Nice": "use the key nice",
    "NotifyAccess": "only the main process may send notifications, not the tasks",
    "OOMPolicy": "a pool process that runs out of memory must not stop its worker",
    "PartOf": "the project's target stops and restarts all its programs",
    "PrivatePIDs": "it hides the program's real process ID, without which its health is unknown",
    "Restart": "a worker that exits must be restarted, whatever its exit status",
    "RestartMaxDelaySec": "programs must start soon after an outage of the database, and none may end as failed",
    "RestartSec": "an outage of the database must not leave programs failed",
    "RestartSteps": "programs must start soon after an outage of the database, and none may end as failed",
    "RootDirectory": "the files of procman and of the project are in the host's own root directory",
    "RuntimeDirectory": "every program has its own, below /run",
    "RuntimeDirectoryPreserve": "the files of a program in it must survive its restart",
    "SendSIGKILL": "a process that never ends would block every restart",
    "StandardError": "use the key log in [systemd]",
    "StandardOutput": "use the key log in [systemd]",
    "StartLimitBurst": "an outage of the database must not leave programs failed",
    "StartLimitIntervalSec": "an outage of the database must not leave programs failed",
    "StateDirectory": "it follows from the name of the project",
    "StateDirectoryMode": "only the user of a program should read its schedule",
    "SyslogIdentifier": "the journal shows each program under its own name",
    "SystemCallErrorNumber": "a refused system call must be an error that a task can report, and not kill it",
    "TasksMax": "use the key tasks_max",
    "TimeoutAbortSec": "use the key stop_timeout_seconds",
    "TimeoutSec": "use the key stop_timeout_seconds",
    "TimeoutStartSec": "a program that waits for its broker during the start counts as started after 45 s",
    "TimeoutStopSec": "use the key stop_timeout_seconds",
    "Type": "it follows from the kind of the program",
    "UMask": "use the key umask",
    "UnsetEnvironment": "use [environment]",
    "User": "use the key user in [project]",
    "WantedBy": "use the key autostart",
    "Wants": "use the key after in [project]",
    "WatchdogSec": "use the key watchdog_seconds in [health]",
    "WatchdogSignal": "procman relies on TERM, on which a main process that recovers finishes its running tasks",
    "WorkingDirectory": "use the key directory in [project]",
}
"""Directives that procman needs for its promises or that have their own key, each with reason or alternative."""

OF_COMMANDS = {
    "KillMode": ("mixed", "control-group"),
    "OOMPolicy": ("continue", "stop", "kill"),
    "Type": ("exec", "notify"),
}
"""Directives that a command may set in its own table, with the values for which the promises hold."""

_OF_COMMANDS = {
    "Environment": "use [command.NAME.environment]",
    "EnvironmentFile": "use the key environment_file",
    "ExecReload": "use the key reload_signal or reload_command",
    "ExecStop": "use the key stop_signal; systemd itself sends that signal",
    "Group": "use the key group",
    "KillSignal": "use the key stop_signal",
    "LoadCredential": "use the key environment_file",
    "NotifyAccess": "only the main process may send notifications",
    "Restart": "a program that exits must be restarted, whatever its exit status",
    "StandardError": "use the key stderr",
    "StandardOutput": "use the key stdout",
    "SystemCallErrorNumber": "a refused system call must be an error that the program can report, and not kill it",
    "User": "use the key user",
    "WatchdogSec": _DROP_IN,
    "WatchdogSignal": _DROP_IN,
    "WorkingDirectory": "use the key directory",
}

RESERVED_OF_COMMANDS = {name: why for name, why in (RESERVED | _OF_COMMANDS).items() if name not in OF_COMMANDS}
"""The directives that a command cannot set: Celery is no reason for them."""
