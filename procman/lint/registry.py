"""The lint rules in the order of their codes; docs/checks.md explains each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from procman.lint import (
    beat_rules,
    container_rules,
    dependency_rules,
    node_name_rules,
    secret_rules,
    stop_rules,
    syntax_rules,
)
from procman.lint.inputs import Finding, Part
from procman.lint.suppressions import Suppression, suppressed


@dataclass(frozen=True)
class Rule:
    """One lint rule."""

    code: str
    title: str
    """A fact that holds when the check passes."""
    function: Callable[[Part], Iterable[Finding]] = lambda _: ()
    together: Callable[[Sequence[Part]], Iterable[Finding]] = lambda _: ()
    """Judges all files together."""
    of_containers: bool = False
    """Whether it judges containers; otherwise it judges programs of a host."""
    of_both: bool = False
    """Whether it judges containers and programs of a host."""
    is_in_files: bool = True
    """Whether the given files alone decide about its findings, not other files or the permissions on the host."""


LINT: tuple[Rule, ...] = (
    Rule("PM901", "A stop signals only the main process", stop_rules.group_is_signalled),
    Rule("PM902", "The stop timeout is long enough for running tasks", stop_rules.stop_timeout_is_long_enough),
    Rule("PM903", "A forced stop also kills the pool processes", stop_rules.children_are_killed),
    Rule("PM904", "The stop signal is TERM or INT", stop_rules.stop_signal_is_graceful),
    Rule("PM905", "The stop signal reaches Celery, not a shell", stop_rules.stop_signal_reaches_celery),
    Rule("PM906", "KillMode is mixed", stop_rules.kill_mode_is_mixed),
    Rule("PM907", "The program is restarted whenever it exits", stop_rules.is_restarted),
    Rule("PM908", "The process manager never gives up restarting", stop_rules.is_not_given_up),
    Rule("PM909", "startsecs is long enough for the import", stop_rules.start_is_watched),
    Rule(
        "PM921",
        "The command line holds no password",
        secret_rules.command_holds_no_password,
        of_both=True,
        is_in_files=False,
    ),
    Rule(
        "PM922",
        "The environment exposes no secret",
        secret_rules.environment_holds_no_password,
        of_both=True,
        is_in_files=False,
    ),
    Rule(
        "PM923",
        "Environment files with secrets are private",
        secret_rules.environment_file_is_private,
        is_in_files=False,
    ),
    Rule(
        "PM924", "Logs opened by root are in a directory of root", secret_rules.log_is_out_of_reach, is_in_files=False
    ),
    Rule("PM925", "Celery does not run as root", secret_rules.user_is_not_root),
    Rule("PM926", "supervisord's socket and port are protected", secret_rules.access_is_protected),
    Rule("PM940", "supervisord can read the file", syntax_rules.file_is_read),
    Rule("PM941", "supervisord knows every option", syntax_rules.option_is_known),
    Rule("PM942", "Every literal % is doubled", syntax_rules.percent_is_doubled),
    Rule("PM943", "supervisord does not cut values short", syntax_rules.value_is_whole),
    Rule("PM944", "supervisorctl finds the program by its name", syntax_rules.name_is_found),
    Rule(
        "PM945",
        "The program runs in the foreground, without a pid file",
        syntax_rules.pid_file_is_left_out,
        of_both=True,
    ),
    Rule("PM946", "Beat is a program of its own", syntax_rules.beat_is_apart, of_both=True),
    Rule("PM947", "The schedule survives a reboot", syntax_rules.schedule_stays),
    Rule("PM948", "celery multi is not used", syntax_rules.multi_is_left_out, of_both=True),
    Rule(
        "PM949",
        "Each worker of the files has a node name of its own",
        together=node_name_rules.node_names_differ,
        is_in_files=False,
    ),
    Rule("PM950", "The program does not stop with the broker", dependency_rules.broker_may_restart),
    Rule("PM951", "Every comment that ignores a finding applies, and has a reason"),
    Rule(
        "PM960",
        "The engine waits long enough for running tasks",
        container_rules.grace_is_long_enough,
        of_containers=True,
    ),
    Rule(
        "PM961",
        "TERM reaches Celery in a container, not a shell",
        container_rules.shell_is_replaced,
        of_containers=True,
    ),
    Rule(
        "PM962",
        "The init of a container signals only the main process",
        container_rules.init_signals_one,
        of_containers=True,
    ),
    Rule("PM963", "The probe of a container can fail", container_rules.probe_can_fail, of_containers=True),
    Rule("PM964", "The probe of a container asks this program", container_rules.probe_asks_this, of_containers=True),
    Rule(
        "PM965",
        "One beat sends the tasks of a project",
        container_rules.beat_is_one,
        together=beat_rules.beats_differ,
        of_both=True,
        is_in_files=False,
    ),
    Rule("PM966", "The stop signal of a container is graceful", container_rules.signal_is_graceful, of_containers=True),
)


def findings(parts: Sequence[Part], comments: Sequence[Suppression] = ()) -> list[Finding]:
    """Return the findings of all rules, in the order of files and lines; those that `comments` ignore are accepted."""
    found = [each for part in parts for rule in LINT if _concerns(rule, part) for each in rule.function(part)]
    on_host = [part for part in parts if not part.reader.runs_containers]
    found += [each for rule in LINT for each in rule.together(parts if rule.of_both else on_host)]
    found = suppressed(list(dict.fromkeys(found)), parts, comments, {rule.code: rule.is_in_files for rule in LINT})
    files = list(dict.fromkeys(file for part in parts for file in (part.file, *part.files)))
    return sorted(found, key=lambda each: (files.index(each.file), each.line, each.code))


def _concerns(rule: Rule, part: Part) -> bool:
    return rule.of_both or rule.of_containers == part.reader.runs_containers
