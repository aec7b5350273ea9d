"""The rules for files that other people wrote, by their codes; docs/checks.md explains each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from procman.checks.lint import reading, secrets, stopping
from procman.checks.lint.facts import Finding, Part


@dataclass(frozen=True)
class Rule:
    """One thing that such a file gets wrong."""

    code: str
    title: str
    """What is so when all is well."""
    function: Callable[[Part], Iterable[Finding]]


LINT: tuple[Rule, ...] = (
    Rule("PM901", "a stop signals the worker alone", stopping.group_is_signalled),
    Rule("PM902", "a stop waits for tasks", stopping.stop_is_patient),
    Rule("PM903", "what is killed is killed whole", stopping.children_are_killed),
    Rule("PM904", "the stop signal is TERM", stopping.signal_is_warm),
    Rule("PM905", "no shell stands in between", stopping.shell_makes_way),
    Rule("PM906", "KillMode is mixed", stopping.kill_mode_is_mixed),
    Rule("PM907", "it comes back", stopping.comes_back),
    Rule("PM908", "it is never given up", stopping.is_not_given_up),
    Rule("PM909", "a start counts after the import", stopping.start_is_watched),
    Rule("PM921", "no password in the command", secrets.command_holds_no_password),
    Rule("PM922", "no password in the environment", secrets.environment_holds_no_password),
    Rule("PM923", "the environment file is private", secrets.environment_file_is_private),
    Rule("PM924", "the log is out of the user's reach", secrets.log_is_out_of_reach),
    Rule("PM925", "it does not run as root", secrets.user_is_not_root),
    Rule("PM926", "orders need a password", secrets.orders_need_a_password),
    Rule("PM940", "the file is read", reading.file_is_read),
    Rule("PM941", "the option is known", reading.option_is_known),
    Rule("PM942", "% is doubled", reading.percent_is_doubled),
    Rule("PM943", "the value is whole", reading.value_is_whole),
    Rule("PM944", "the program is found by its name", reading.name_is_found),
    Rule("PM945", "no pid file, nothing detached", reading.pid_file_is_left_out),
    Rule("PM946", "beat is a program of its own", reading.beat_is_apart),
    Rule("PM947", "the schedule survives a boot", reading.schedule_stays),
    Rule("PM948", "no celery multi", reading.multi_is_left_out),
)


def findings(parts: Sequence[Part]) -> list[Finding]:
    """Return what the rules find, in the order of the files' lines."""
    found = [each for part in parts for rule in LINT for each in rule.function(part)]
    files = list(dict.fromkeys(part.file for part in parts))
    return sorted(dict.fromkeys(found), key=lambda each: (files.index(each.file), each.line, each.code))
