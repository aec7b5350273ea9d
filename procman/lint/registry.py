"""The rules for files that other people wrote, by their codes; docs/checks.md explains each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from procman.lint import secret_rules, stop_rules, syntax_rules
from procman.lint.inputs import Finding, Part


@dataclass(frozen=True)
class Rule:
    """One thing that such a file gets wrong."""

    code: str
    title: str
    """What is so when all is well."""
    function: Callable[[Part], Iterable[Finding]]


LINT: tuple[Rule, ...] = (
    Rule("PM901", "a stop signals the worker alone", stop_rules.group_is_signalled),
    Rule("PM902", "a stop waits for tasks", stop_rules.stop_timeout_is_long_enough),
    Rule("PM903", "what is killed is killed whole", stop_rules.children_are_killed),
    Rule("PM904", "the stop signal is TERM", stop_rules.signal_is_warm),
    Rule("PM905", "no shell stands in between", stop_rules.shell_makes_way),
    Rule("PM906", "KillMode is mixed", stop_rules.kill_mode_is_mixed),
    Rule("PM907", "it comes back", stop_rules.comes_back),
    Rule("PM908", "it is never given up", stop_rules.is_not_given_up),
    Rule("PM909", "a start counts after the import", stop_rules.start_is_watched),
    Rule("PM921", "no password in the command", secret_rules.command_holds_no_password),
    Rule("PM922", "no password in the environment", secret_rules.environment_holds_no_password),
    Rule("PM923", "the environment file is private", secret_rules.environment_file_is_private),
    Rule("PM924", "the log is out of the user's reach", secret_rules.log_is_out_of_reach),
    Rule("PM925", "it does not run as root", secret_rules.user_is_not_root),
    Rule("PM926", "orders need a password", secret_rules.orders_need_a_password),
    Rule("PM940", "the file is read", syntax_rules.file_is_read),
    Rule("PM941", "the option is known", syntax_rules.option_is_known),
    Rule("PM942", "% is doubled", syntax_rules.percent_is_doubled),
    Rule("PM943", "the value is whole", syntax_rules.value_is_whole),
    Rule("PM944", "the program is found by its name", syntax_rules.name_is_found),
    Rule("PM945", "no pid file, nothing detached", syntax_rules.pid_file_is_left_out),
    Rule("PM946", "beat is a program of its own", syntax_rules.beat_is_apart),
    Rule("PM947", "the schedule survives a boot", syntax_rules.schedule_stays),
    Rule("PM948", "no celery multi", syntax_rules.multi_is_left_out),
)


def findings(parts: Sequence[Part]) -> list[Finding]:
    """Return what the rules find, in the order of the files' lines."""
    found = [each for part in parts for rule in LINT for each in rule.function(part)]
    files = list(dict.fromkeys(part.file for part in parts))
    return sorted(dict.fromkeys(found), key=lambda each: (files.index(each.file), each.line, each.code))
