"""Convert the directives of a systemd service to keys and directives of procman.toml."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from procman.config.read_programs import DEFAULT_STOP_TIMEOUT_SECONDS
from procman.config.read_systemd import directive_problem
from procman.config.systemd_directives import FREE, RESERVED
from procman.host.unit_words import NotClosed, span_seconds, with_specifiers, words_of
from procman.init.importing.existing import Remark, Stop
from procman.init.importing.keys import key_problem, number_of, signal_name
from procman.init.importing.readers.unit_files import Placed, Unit
from procman.model import Kind
from procman.quoting.systemd import Value
from procman.secrets import masked, masked_command

SYSTEMDS_STOP_SECONDS = 90
"""The default of DefaultTimeoutStopSec=."""

READ_ELSEWHERE = {
    *("Service.ExecStart", "Service.ExecStop", "Service.Environment", "Service.EnvironmentFile"),
    *("Service.User", "Service.Group", "Service.WorkingDirectory"),
    *("Service.Restart", "Service.KillMode", "Service.KillSignal", "Service.TimeoutStopSec", "Service.TimeoutSec"),
    *("Unit.After", "Unit.Wants", "Unit.Requires", "Unit.Requisite", "Unit.BindsTo"),
}
SILENT = {
    *("Unit.Description", "Unit.Documentation", "Unit.SourcePath", "Service.GuessMainPID", "Service.RemainAfterExit"),
    *("Service.PIDFile", "Install.DefaultInstance"),
}
"""Settings without a meaning for a program that does not fork."""

LOGS = {
    *("StandardOutput", "StandardError", "StandardInput", "SyslogIdentifier", "SyslogFacility", "SyslogLevel"),
    *("LogsDirectory", "LogsDirectoryMode"),
}
HARMLESS = {
    "Service.Type": ("simple", "exec", "notify", "forking", "idle"),
    "Service.SendSIGKILL": ("yes", "true", "on", "1"),
    "Install.WantedBy": ("multi-user.target", "default.target", "graphical.target"),
}
"""Values that match what procman does."""

_TARGET = "procman's units belong to a target of the project, which starts them at boot"

LEFT_OUT = {
    "PartOf": _TARGET,
    "RequiredBy": _TARGET,
    "WantedBy": _TARGET,
    "PIDFile": "no pid file is needed: the process manager knows the pid",
    "RestartForceExitStatus": "procman restarts it whatever its exit status",
    "RestartPreventExitStatus": "procman restarts it whatever its exit status",
    "SuccessExitStatus": "procman restarts it whatever its exit status",
    "Alias": "the new unit has only the name of its program",
    "PassEnvironment": "systemd's own variables reach no program of procman: set them in [environment]",
}
OTHERS = "no key of procman sets it; a drop-in can: systemctl edit UNIT"

LONGEST_COMMAND = 4096
"""Characters that are searched; the time grows with the square of their number."""

CELERYS = re.compile(r"\bmulti\b.*\bstop(wait)?\b")
"""An ExecStop= that stops Celery gracefully: `celery multi stopwait` sends TERM to each main process and waits."""
KILL = re.compile(r"\bkill\s+(?:-s\s+|-)?(?P<signal>[A-Z0-9]+\s+)?(?:\$MAINPID|\$\{MAINPID\})", re.IGNORECASE)


@dataclass(frozen=True)
class Imported:
    """What the settings of one unit become."""

    values: Mapping[str, object]
    directives: Mapping[str, object]
    after: tuple[str, ...]
    remarks: tuple[Remark, ...]


def imported(unit: Unit, kind: Kind, specifiers: Mapping[str, str]) -> Imported:
    """Return what the settings of `unit`, which starts a program of this `kind`, become."""
    values: dict[str, object] = {}
    directives: dict[str, object] = {}
    stop = stop_of(unit)
    remarks = [*_stop_remarks(unit, stop, kind), *_dependencies(unit, specifiers)]
    for name in dict.fromkeys(each.name for each in unit.settings):
        if name not in READ_ELSEWHERE | SILENT and name.partition(".")[2] not in LOGS:
            remarks += _take(unit.all(name), values, directives, specifiers)
    if stop.seconds is not None and (kind is Kind.BEAT or stop.seconds >= DEFAULT_STOP_TIMEOUT_SECONDS["worker"]):
        values |= _stop_timeout(unit, stop.seconds)
    if unit.is_of_host and not unit.is_enabled and unit.value("Install.WantedBy"):
        values["autostart"] = False
    return Imported(values, directives, _after(unit, specifiers), tuple(remarks))


def stop_of(unit: Unit) -> Stop:
    """Return how systemd stops `unit`, its defaults included."""
    signal = signal_name(unit.value("Service.KillSignal", "TERM"))
    mode = unit.value("Service.KillMode", "control-group")
    restart = unit.value("Service.Restart", "no")
    reaches: str | None = {"control-group": "group", "none": None}.get(mode, "main")
    command = unit.value("Service.ExecStop")[:LONGEST_COMMAND]
    killed = KILL.search(command)
    if CELERYS.search(command) or killed:
        given = killed["signal"] if killed else None
        signal, reaches = signal_name(given or "TERM"), "main"
    restarts = {"no": "never", "always": "always"}.get(restart, "on-failure")
    return Stop(signal, _stop_seconds(unit), reaches, restarts)


def logs_of(unit: Unit) -> list[Placed]:
    """Return the settings about logs and standard streams, which procman decides itself."""
    return [each for each in unit.settings if each.name.partition(".")[2] in LOGS]


def _stop_setting(unit: Unit) -> Placed | None:
    given = [each for each in unit.settings if each.name in ("Service.TimeoutStopSec", "Service.TimeoutSec")]
    return next((each for each in reversed(given) if each.value), None)


def _stop_seconds(unit: Unit) -> int | None:
    setting = _stop_setting(unit)
    if setting is None:
        return SYSTEMDS_STOP_SECONDS
    seconds = span_seconds(setting.value)
    # 0 means no limit too (systemd.service(5)).
    return int(seconds) or None if seconds is not None and math.isfinite(seconds) else None


def _stop_timeout(unit: Unit, seconds: int) -> dict[str, object]:
    if _stop_setting(unit) is None or key_problem("stop_timeout_seconds", seconds):
        return {}
    return {"stop_timeout_seconds": seconds}


def _stop_remarks(unit: Unit, stop: Stop, kind: Kind) -> Iterator[Remark]:
    setting, waits = _stop_setting(unit), DEFAULT_STOP_TIMEOUT_SECONDS["worker"]
    if stop.seconds is None and setting:
        why = "procman has no stop without a limit: set stop_timeout_seconds to more than the longest task takes"
        yield Remark(str(setting), _shown(setting), why, doubtful=True)
    elif stop.seconds is not None and kind is Kind.WORKER and stop.seconds < waits:
        note = f"systemd killed running tasks after {stop.seconds} s; procman waits {waits} s"
        yield _changed(unit, setting, "TimeoutStopSec", note)
    if stop.signal != "TERM":
        yield _changed(unit, unit.last("Service.KillSignal"), "KillSignal", RESERVED["KillSignal"])
    if stop.reaches == "group" and kind is Kind.WORKER:
        note = "systemd sent the stop signal to the pool processes too, which ends the tasks that they run"
        yield _changed(unit, unit.last("Service.KillMode"), "KillMode", note)
    elif unit.value("Service.KillMode") in ("process", "none"):
        yield _changed(unit, unit.last("Service.KillMode"), "KillMode", RESERVED["KillMode"])
    if stop.restarts != "always":
        yield _changed(unit, unit.last("Service.Restart"), "Restart", RESERVED["Restart"])
    command = unit.last("Service.ExecStop")
    text = command.value[:LONGEST_COMMAND] if command else ""
    if command and not CELERYS.search(text) and not KILL.search(text):
        yield Remark(str(command), _shown(command), RESERVED["ExecStop"], doubtful=True)


def _changed(unit: Unit, setting: Placed | None, name: str, why: str) -> Remark:
    return Remark(str(setting or f"{unit.fragment}:1"), _shown(setting) if setting else name, why, changed=True)


def _shown(setting: Placed) -> str:
    name = setting.name.partition(".")[2]
    value = masked_command(setting.value.split()) if name.startswith("Exec") else setting.value
    return masked(f"{name} = {value}")


# The dependencies ----------------------------------------------------------------------------------------------------


def _after(unit: Unit, specifiers: Mapping[str, str]) -> tuple[str, ...]:
    names = ("After", "Requires", "BindsTo", "Requisite", "Wants")
    settings = [each for name in names for each in unit.all(f"Unit.{name}")]
    return tuple(dict.fromkeys(unit for each in settings for unit in _units(each, specifiers)))


def _units(setting: Placed, specifiers: Mapping[str, str]) -> list[str]:
    # Targets such as network.target are reached long before any program of procman starts.
    units = [with_specifiers(word, specifiers) for word in setting.value.split()]
    return [each for each in units if "." in each and not each.endswith((".target", ".slice"))]


def _dependencies(unit: Unit, specifiers: Mapping[str, str]) -> Iterator[Remark]:
    for name in ("Requires", "BindsTo", "Requisite"):
        for setting in unit.all(f"Unit.{name}"):
            others = ", ".join(_units(setting, specifiers))
            why = f"procman's unit starts after {others}, but neither starts it nor stops with it"
            if others:
                yield Remark(str(setting), _shown(setting), why, changed=True)


# The other settings --------------------------------------------------------------------------------------------------


def _take(
    settings: list[Placed], values: dict[str, object], directives: dict[str, object], specifiers: Mapping[str, str]
) -> Iterator[Remark]:
    """Put one directive, with all its values in effect, into `values` or `directives`; yield why it is not imported."""
    if not settings:
        return
    last = settings[-1]
    name = last.name.partition(".")[2]
    if last.value.lower() in HARMLESS.get(last.name, ()):
        return
    reason: str | None
    if name in KEYS:
        key, convert = KEYS[name]
        converted = convert(last.value)
        unlimited = converted is None and last.value in ("infinity", "")
        reason = None if unlimited else f"{key} cannot have this value"
        if converted is not None and not key_problem(key, converted):
            values[key], reason = converted, None
    elif name in FREE:
        given = _free_values(name, settings, specifiers)
        reason = directive_problem(name, given)
        if not reason:
            directives[name] = given
    else:
        reason = LEFT_OUT.get(name) or RESERVED.get(name) or OTHERS
    if reason:
        yield Remark(str(last), _shown(last), reason)


def _free_values(name: str, settings: list[Placed], specifiers: Mapping[str, str]) -> object:
    """Return the value of a directive as procman.toml has it: a list if it has several."""
    texts = [with_specifiers(each.value, specifiers) for each in settings]
    if FREE[name].value is Value.PATHS:
        texts = [word for text in texts for word in _paths(text)]
    elif not re.search(r"Filter|Families|Capabilit|Groups|Device|IPAddress|Affinity|Allowed|Paths|Log$", name):
        texts = texts[-1:]
    return texts if len(texts) > 1 else texts[0]


def _paths(text: str) -> list[str]:
    try:
        return words_of(text)
    except NotClosed:
        return text.split()


def _mib(value: str) -> int | None:
    found = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]+)?)\s*([KMGT]?)B?", value)
    # systemd counts with 1024 (systemd.resource-control(5)).
    size = float(found[1]) * 1024 ** " KMGT".index(found[2] or " ") if found else 0
    return max(1, int(size / 2**20)) if size else None


def _umask(value: str) -> str | None:
    return value if re.fullmatch(r"0?[0-7]{3}", value) else None


KEYS: Mapping[str, tuple[str, Callable[[str], object]]] = {
    "CPUWeight": ("cpu_weight", number_of),
    "MemoryHigh": ("memory_high_mib", _mib),
    "MemoryLimit": ("memory_max_mib", _mib),
    "MemoryMax": ("memory_max_mib", _mib),
    "Nice": ("nice", number_of),
    "TasksMax": ("tasks_max", number_of),
    "UMask": ("umask", _umask),
}
"""Directives that have a key, with the conversion of their value; None: the value is not imported."""
