"""Every value is read back unchanged by systemd's own parser, or refused (S1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings, strategies

from procman.errors import ProcmanError
from procman.quoting import systemd as quoting
from procman.quoting import unprintable
from tests.hostile import HOSTILE, REFUSED, TEXTS, examples
from tests.read_by_systemd import Read, command_of, read_units
from tests.tables import for_each

SHORT = [*(value for value in HOSTILE if len(value) < 200), "a:b", ":ro", "a,b", "+a", "@a", "-:!a"]
"""PATH_MAX is 4096 bytes."""


def _path(value: str) -> str:
    """Return a path of three parts that contains `value`, normalised like paths of procman.toml."""
    return "/srv/x" + value.replace("/", "|") + "/x"


def _unit(value: str) -> str:
    path = _path(value)
    lines = [
        "[Unit]",
        f"Description={quoting.systemd_text('<' + value + '>')}",
        "[Service]",
        f"ExecStart={quoting.systemd_command(('/bin/true', value, '-A', value))}",
        f"Environment={quoting.systemd_assignment('VALUE', value)}",
        f"Environment={quoting.systemd_assignment('AFTER', 1)}",
        f"WorkingDirectory={quoting.systemd_path(path)}",
        f"StandardOutput=append:{quoting.systemd_path(path)}",
        f"ReadWritePaths={quoting.systemd_paths([path])}",
        f"ReadWritePaths={quoting.systemd_paths(['-' + path, '/after'])}",
        f"BindPaths={quoting.systemd_bound_paths([path])}",
        "Nice=7",
    ]
    return "\n".join(lines) + "\n"


def _assert_read_back(values: Sequence[str]) -> None:
    units = {f"u{number}.service": _unit(value) for number, value in enumerate(values)}
    read = read_units(units)
    assert read.keys() == units.keys()
    for unit, value in zip(read.values(), _in_order(read, values), strict=True):
        _assert_same(unit, value)


def _in_order(read: dict[str, Read], values: Sequence[str]) -> list[str]:
    return [values[int(name[1:].partition(".")[0])] for name in read]


def _assert_same(unit: Read, value: str) -> None:
    path = _path(value)
    assert unit["Description"] == [f"<{value}>"]
    assert command_of(unit) == ["/bin/true", value, "-A", value]
    assert unit["Environment"] == [f"VALUE={value}", "AFTER=1"]
    assert unit["WorkingDirectory"] == [path]
    assert unit["StandardOutputFileToAppend"] == [path]
    assert unit["ReadWritePaths"] == [f"{path} -{path} /after"]
    assert unit["BindPaths"] == [f"{path}:{path}:rbind"]
    assert unit["Nice"] == ["7"]
    assert "User" not in unit


def test_hostile_values_are_read_back_by_systemd() -> None:
    _assert_read_back(SHORT)


def test_long_argument_is_read_back_by_systemd() -> None:
    value = "x " * 5_000
    read = read_units({"u.service": f"[Service]\nExecStart={quoting.systemd_command(('/bin/true', value))}\n"})
    assert command_of(read["u.service"]) == ["/bin/true", value]


@settings(deadline=None, max_examples=examples(10))
@given(values=strategies.lists(TEXTS, min_size=1, max_size=200))
def test_any_value_is_read_back_by_systemd(values: list[str]) -> None:
    _assert_read_back([value for value in values if not unprintable(value)])


@settings(deadline=None, max_examples=examples(10))
@given(programs=strategies.lists(TEXTS, min_size=1, max_size=200))
def test_path_of_a_program_is_read_back_or_refused(programs: list[str]) -> None:
    units, desired = {}, {}
    for number, value in enumerate(programs):
        path = _path(value)
        try:
            units[f"u{number}.service"] = f"[Service]\nExecStart={quoting.systemd_command((path, 'a'))}\n"
        except ProcmanError:
            assert unprintable(value) or set(value) & set("\"'\\*?[")
        else:
            desired[f"u{number}.service"] = [path, "a"]
    assert {name: _verbatim_command(unit) for name, unit in read_units(units).items()} == desired


def _verbatim_command(unit: Read) -> list[str]:
    # The first word is not expanded (systemd.service(5)).
    [line] = unit["Command Line"]
    assert line.endswith(" a")
    program = line.removesuffix(" a")
    if program.startswith('"'):
        program = program[1:-1].replace("\\$", "$").replace("\\`", "`")
    return [program, "a"]


@for_each(
    "encode",
    [
        quoting.systemd_text,
        lambda value: quoting.systemd_path("/" + value),
        lambda value: quoting.systemd_environment_file("/" + value),
        lambda value: quoting.systemd_paths(["/" + value]),
        lambda value: quoting.systemd_bound_paths(["/" + value]),
        lambda value: quoting.systemd_command(("/bin/true", value)),
        lambda value: quoting.systemd_command(("/" + value,)),
        lambda value: quoting.systemd_assignment("A", value),
        quoting.systemd_words,
        quoting.systemd_amount,
        lambda value: quoting.systemd_units([value]),
    ],
)
def test_value_that_could_add_a_line_is_refused(encode: Callable[[str], str]) -> None:
    assert [value for value in REFUSED if not _refuses(encode, value)] == []


def _refuses(encode: Callable[[str], str], value: str) -> bool:
    try:
        encode(value)
    except ProcmanError:
        return True
    return False


@pytest.mark.parametrize("value", ["", " ", " a", "a ", "a\\", "\\"])
def test_text_that_systemd_would_change_is_refused(value: str) -> None:
    with pytest.raises(ProcmanError):
        quoting.systemd_text(value)


@for_each("value", ["", "x", "-/x", "~", "/x ", "/x\\", "/x/../y", "/.."])
def test_path_that_systemd_would_change_is_refused(value: str) -> None:
    with pytest.raises(ProcmanError):
        quoting.systemd_path(value)


@pytest.mark.parametrize("value", ["/etc/*.env", "/etc/a?.env", "/etc/[a].env"])
def test_environment_file_that_systemd_would_read_as_a_pattern_is_refused(value: str) -> None:
    with pytest.raises(ProcmanError, match="pattern"):
        quoting.systemd_environment_file(value)


@for_each(
    "program",
    ["python", "@/bin/true", "-/bin/true", "!/bin/true", "/bin/a'b", '/bin/a"b', "/bin/a\\b", "/bin/a*b", "/a?", "/[a"],
)
def test_program_that_systemd_could_not_start_is_refused(program: str) -> None:
    with pytest.raises(ProcmanError):
        quoting.systemd_command((program, "a"))


@for_each("value", [value for value in HOSTILE if set(value) & set("\"'\\%$#;&|()`*?[]{}<>!")])
def test_words_that_could_mean_something_else_are_refused(value: str) -> None:
    with pytest.raises(ProcmanError):
        quoting.systemd_words(value)


def test_bound_path_is_quoted_as_systemd_262_needs_it() -> None:
    assert quoting.systemd_bound_paths(["/srv/a:b", '/srv/c"d']) == """"/srv/a\\:b" "/srv/c"'"'"d\""""


def test_words_and_amounts_are_unchanged() -> None:
    for words in ("@system-service", "~@mount @swap", "yes", "10.0.0.0/8 fe80::/64", "CAP_NET_RAW"):
        assert quoting.systemd_words(words) == words
    for amount in ("512M", "50%", "infinity", "1.5G"):
        assert quoting.systemd_amount(amount) == amount


def test_units_are_read_back_with_their_escapes() -> None:
    names = ["rabbitmq-server.service", "dev-disk-by\\x2dlabel.device", "srv-ab\\x20c.mount", "a@b:c.service"]
    read = read_units({"u.service": f"[Unit]\nAfter={quoting.systemd_units(names)}\n[Service]\nExecStart=/bin/true\n"})
    assert set(names) <= {name.split(" ")[0] for name in read["u.service"]["After"]}


def test_naive_quoting_would_fail_these_tests() -> None:
    units = {
        f"u{number}.service": f'[Service]\nExecStart=/bin/true\nEnvironment="VALUE={value}"\n'
        for number, value in enumerate(SHORT)
    }
    read = read_units(units)
    wrong = [
        value
        for number, value in enumerate(SHORT)
        if read.get(f"u{number}.service", {}).get("Environment") != [f"VALUE={value}"]
    ]
    assert len(wrong) >= 10
