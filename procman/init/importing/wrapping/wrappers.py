"""Take the wrappers off a command line: what each does becomes a key, or is reported.

A wrapper that execs what follows becomes the key `wrapper`. One that has a key of its own becomes that key. One that
stays as the parent of Celery is replaced by what procman does itself, or refused. Nothing is run.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from procman.accounts import named_group, named_user
from procman.celery_cli.parse import read_command, virtualenv_of
from procman.celery_cli.script_file import script_started_by
from procman.init.importing.wrapping.python_commands import PYTHON, runs_python
from procman.init.importing.wrapping.unwrapped import Unwrapped
from procman.init.importing.wrapping.virtualenv_runners import runs_in_virtualenv
from procman.init.importing.wrapping.wrapper_options import Read, read_options
from procman.init.importing.wrapping.wrapper_reasons import DROPPED, REFUSED
from procman.secrets import masked_command, words_hold_password

MOST_WRAPPERS = 20


@dataclass(frozen=True)
class Form:
    """How the command line of a wrapper is read."""

    valued: tuple[str, ...] = ()
    """Options with a value."""
    others: int = 0
    """Words between the options and the command."""
    all_valued: bool = False
    """Whether every long option has a value."""


EXECS: Mapping[str, Form] = {
    "chrt": Form(("-T", "-P", "-D", "--sched-runtime", "--sched-period", "--sched-deadline"), others=1),
    "ddtrace-run": Form(),
    "eatmydata": Form(),
    "elasticapm-run": Form(all_valued=True),
    "envdir": Form(others=1),
    "ionice": Form(("-c", "--class", "-n", "--classdata")),
    "newrelic-admin": Form(others=1),
    "numactl": Form(("-i", "-p", "-P", "-N", "-m", "-C", "-w", "-l"), all_valued=True),
    "opentelemetry-instrument": Form(all_valued=True),
    "prlimit": Form(),
    "s6-envdir": Form(others=1),
    "softlimit": Form(("-m", "-d", "-s", "-l", "-a", "-o", "-p", "-f", "-c", "-r", "-t")),
    "splunk-py-trace": Form(),
    "splunk-run": Form(),
    "stdbuf": Form(("-i", "-o", "-e", "--input", "--output", "--error")),
    "taskset": Form(others=1),
}
"""Wrappers that become the command that follows."""

DROPPED_FORMS: Mapping[str, Form] = {
    "timeout": Form(("-s", "--signal", "-k", "--kill-after"), others=1),
    "flock": Form(("-w", "--wait", "--timeout", "-E", "--conflict-exit-code"), others=1),
    "setlock": Form(others=1),
    "tini": Form(("-p", "-e")),
    "dumb-init": Form(("-r", "--rewrite")),
}
"""Those of DROPPED with options that have a value, or with other words in front of the command."""

WITH_ARGUMENTS = ("watchmedo", "dockerize", "wait-for-it", "wait-for-it.sh", "wait-for")
"""Those of DROPPED with any number of other words in front of the command."""


def unwrap(
    words: Sequence[str],
    environment: Mapping[str, str],
    directory: Path | None,
    *,
    place: str,
    sees_files: bool = True,
) -> Unwrapped:
    """Return what `words`, started in `directory` with `environment`, finally run, and what the wrappers do.

    The rest may still be a shell or a start script. `place` is where the program is defined, for the remarks. In a
    container, it does not see the files of this host (`sees_files`).
    """
    state = Unwrapped(tuple(words), environment, directory, place, sees_files)
    for _ in range(MOST_WRAPPERS):
        after = _next(state) if state.words and not state.problem else None
        if after is None:
            break
        state = after
    return _finished(state)


def _next(state: Unwrapped) -> Unwrapped | None:
    """Return `state` without its first wrapper; None if there is none."""
    name = Path(state.words[0]).name
    if name in HAVE_KEYS:
        return HAVE_KEYS[name](state)
    if name in REFUSED and _celery_in(state.words[1:]) is not None:
        return replace(state, problem=f"{name}: {REFUSED[name]}")
    if name in DROPPED and (name not in WITH_ARGUMENTS or _celery_in(state.words) is not None):
        return _dropped(state, name)
    if name in EXECS:
        return _execs(state, name)
    if name == "celery":
        return None
    return _assigned(state) or runs_in_virtualenv(state) or runs_python(state) or _unknown(state)


def _after(words: Sequence[str], form: Form) -> tuple[str, ...]:
    return read_options(words, form.valued, all_valued=form.all_valued).rest[form.others :]


def _execs(state: Unwrapped, name: str) -> Unwrapped:
    rest = _after(state.words[1:], EXECS[name])
    taken = state.words[: len(state.words) - len(rest)]
    if name == "newrelic-admin" and taken[-1:] == ("run-python",):
        # Like `run-program python`, with the Python of the same virtualenv.
        taken, rest = (*taken[:-1], "run-program"), (str(Path(taken[0]).with_name("python")), *rest)
    return replace(state, words=rest, wrapper=(*state.wrapper, *taken))


def _dropped(state: Unwrapped, name: str) -> Unwrapped:
    rest = _after(state.words[1:], DROPPED_FORMS.get(name, Form()))
    if name in WITH_ARGUMENTS:
        at = state.words.index("--") + 1 if "--" in state.words else _celery_in(state.words)
        rest = state.words[at:]
    shown = " ".join(state.words[: len(state.words) - len(rest)])
    if name == "flock" and rest[:1] in (("-c",), ("--command",)):
        rest = ("sh", "-c", *rest[1:])
    remarks = (state.remark(shown, DROPPED[name], changed=True),) if DROPPED[name] else ()
    return replace(state, words=rest, remarks=(*state.remarks, *remarks))


def _unknown(state: Unwrapped) -> Unwrapped | None:
    """Take the words in front of Celery for a wrapper; procman check tries it (PM788)."""
    at = _celery_in(state.words)
    if not at or (state.sees_files and script_started_by(state.words, state.directory or Path("/"))):
        return None
    taken, rest = state.words[:at], state.words[at:]
    if not state.sees_files:
        remark = state.remark(masked_command(taken), "it is in the image, and what it does is unknown", doubtful=True)
        return replace(state, words=rest, remarks=(*state.remarks, remark))
    if taken[-1] == "-m":
        why = "it loads Celery into its own process, and procman starts Celery itself: it is left out"
        remark = state.remark(masked_command(taken), why, doubtful=True)
        return replace(state, words=rest, remarks=(*state.remarks, remark))
    why = "it becomes the key wrapper; procman check tries whether it replaces itself with Celery (PM788)"
    # One with a password is left out, with another remark (_finished).
    remarks = () if words_hold_password(taken) else (state.remark(masked_command(taken), why, doubtful=True),)
    return replace(state, words=rest, wrapper=(*state.wrapper, *taken), remarks=(*state.remarks, *remarks))


def _celery_in(words: Sequence[str]) -> int | None:
    """Return the place of the word with which the command of Celery begins; None if there is none."""
    for at, word in enumerate(words):
        if Path(word).name == "celery" and read_command(words[at:]):
            before = at - 1 if at and words[at - 1] == "-m" else at
            return before - 1 if before and PYTHON.fullmatch(Path(words[before - 1]).name) else at
    return None


def _finished(state: Unwrapped) -> Unwrapped:
    """Write the words of a wrapper in the virtualenv as their names, which procman searches for there first."""
    virtualenvs = [virtualenv_of(word) for word in (*state.words[:1], *state.wrapper)]
    virtualenv = state.virtualenv or next(filter(None, virtualenvs), None)
    own = {word for word in state.wrapper if virtualenv and virtualenv_of(word) == virtualenv}
    short = tuple(Path(word).name if word in own else word for word in state.wrapper)
    state = replace(state, wrapper=short, virtualenv=virtualenv)
    if not words_hold_password(short):
        return state
    why = "it is left out, because every user can read command lines: set a variable in the environment file instead"
    remark = state.remark(masked_command(short), why, doubtful=True)
    return replace(state, wrapper=(), remarks=(*state.remarks, remark))


# Those with a key of their own ---------------------------------------------------------------------------------------


def _nice(state: Unwrapped) -> Unwrapped:
    words = list(state.words[1:])
    amount = "10"
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in ("-n", "--adjustment") and words:
            amount = words.pop(0)
        elif word.startswith("--adjustment="):
            amount = word.partition("=")[2]
        elif word != "--":
            amount = word.removeprefix("-n") if word.startswith("-n") else word.removeprefix("-")
    try:
        nice = int(amount) + int(str(state.values.get("nice", 0)))
    except ValueError:
        remark = state.remark(f"nice -n {amount}", "this is not a number", doubtful=True)
        return replace(state, words=tuple(words), remarks=(*state.remarks, remark))
    return replace(state, words=tuple(words), values={**state.values, "nice": max(-20, min(19, nice))})


ENV_VALUED = ("-u", "--unset", "-C", "--chdir", "-S", "--split-string", "-a", "--argv0")


def _env(state: Unwrapped) -> Unwrapped:
    read = read_options(state.words[1:], ENV_VALUED)
    try:
        rest = (*shlex.split(read.value("-S", "--split-string") or ""), *read.rest)
    except ValueError:
        rest = read.rest
    if rest[:1] == ("-",):
        rest, read = rest[1:], Read((*read.options, ("-i", "")), rest)
    variables = {} if read.has("-i", "--ignore-environment") else dict(state.environment)
    for name, value in read.options:
        if name in ("-u", "--unset"):
            variables.pop(value, None)
    chdir = read.value("-C", "--chdir")
    directory = state.inside(chdir) if chdir else state.directory
    state = replace(state, words=rest, environment=variables, directory=directory)
    return _assigned(state) or state


def _assigned(state: Unwrapped) -> Unwrapped | None:
    """Return `state` without the assignments at its start; None if there are none."""
    words, variables = list(state.words), dict(state.environment)
    while words and words[0].partition("=")[0].isidentifier() and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    return replace(state, words=tuple(words), environment=variables) if len(words) < len(state.words) else None


def _as_user(state: Unwrapped, account: str, words: Sequence[str], group: str | None = None) -> Unwrapped:
    name, _, of_group = account.lstrip(":").partition(":")
    own_group = named_group(of_group or group or "") or state.group
    return replace(state, words=tuple(words), user=named_user(name) or state.user, group=own_group)


def _gosu(state: Unwrapped) -> Unwrapped:
    words = read_options(state.words[1:], ()).rest
    return _as_user(state, words[0] if words else "", words[1:])


def _setpriv(state: Unwrapped) -> Unwrapped:
    valued = (
        *("--reuid", "--regid", "--ruid", "--euid", "--rgid", "--egid", "--groups", "--inh-caps", "--ambient-caps"),
        *("--bounding-set", "--securebits", "--pdeathsig", "--selinux-label", "--apparmor-profile"),
    )
    read = read_options(state.words[1:], valued)
    ids = ("--reuid", "--regid", "--ruid", "--euid", "--rgid", "--egid", "--groups", "--init-groups", "--clear-groups")
    kept = [f"{name}={value}" if value else name for name, value in read.options if name not in ids]
    wrapper = (*state.wrapper, state.words[0], *kept) if kept else state.wrapper
    account = read.value("--reuid", "--euid", "--ruid") or ""
    return replace(_as_user(state, account, read.rest, read.value("--regid", "--egid", "--rgid")), wrapper=wrapper)


def _chpst(state: Unwrapped) -> Unwrapped:
    valued = ("-u", "-U", "-b", "-e", "-/", "-C", "-n", "-l", "-L", "-m", "-d", "-o", "-p", "-f", "-c", "-t", "-r")
    read = read_options(state.words[1:], valued)
    if read.has("-/"):
        return replace(state, problem=f"chpst -/: {REFUSED['chroot']}")
    own = ("-u", "-n", "-C", "-l", "-L", "-P", "-b", "-0", "-1", "-2", "-v")
    kept = [f"{name}{value}" for name, value in read.options if name not in own]
    wrapper = (*state.wrapper, state.words[0], *kept) if kept else state.wrapper
    directory = state.inside(read.value("-C") or ".")
    state = replace(_as_user(state, read.value("-u") or "", read.rest), wrapper=wrapper, directory=directory)
    nice = read.value("-n")
    return replace(state, words=("nice", "-n", nice, *state.words)) if nice else state


def _sudo(state: Unwrapped) -> Unwrapped:
    read = read_options(state.words[1:], ("-u", "--user", "-g", "--group", "-C", "-D", "--chdir", "-p", "-T", "-h"))
    chdir = read.value("-D", "--chdir")
    state = replace(state, directory=state.inside(chdir) if chdir else state.directory)
    return _as_user(state, read.value("-u", "--user") or "root", read.rest, read.value("-g", "--group"))


def _su(state: Unwrapped) -> Unwrapped:
    """Read `su USER -c TEXT` and `runuser -u USER COMMAND`; options may follow the user (su(1))."""
    valued = ("-u", "--user", "-g", "--group", "-G", "--supp-group", "-c", "--command", "-s", "--shell", "-w")
    read = read_options(state.words[1:], valued)
    if account := read.value("-u", "--user"):
        return _as_user(state, account, read.rest, read.value("-g", "--group"))
    words = read.rest[1:] if read.rest[:1] == ("-",) else read.rest
    more = read_options(words[1:], valued)
    text = read.value("-c", "--command") or more.value("-c", "--command")
    shell = more.value("-s", "--shell") or read.value("-s", "--shell") or "/bin/sh"
    return _as_user(state, words[0] if words else "root", (shell, "-c", text) if text else more.rest)


HAVE_KEYS: Mapping[str, Callable[[Unwrapped], Unwrapped]] = {
    "nice": _nice,
    "env": _env,
    **dict.fromkeys(("gosu", "su-exec", "setuidgid", "s6-setuidgid"), _gosu),
    "setpriv": _setpriv,
    "chpst": _chpst,
    "sudo": _sudo,
    **dict.fromkeys(("su", "runuser"), _su),
}
