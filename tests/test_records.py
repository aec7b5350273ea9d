"""Records behave as frozen dataclasses do, which their classes are compared with."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import pytest

from procman.records import record


class _Fields:
    name: str
    secret: str = field(repr=False)
    number: int = 1
    items: dict[str, int] = field(default_factory=dict, metadata={"help": "text"})


def made_by(decorator: Any) -> Any:
    """Return a class named Some with the fields above, made by `decorator`."""
    names = ("secret", "number", "items")
    return decorator(frozen=True)(
        type("Some", (), {"__annotations__": _Fields.__annotations__, **{name: vars(_Fields)[name] for name in names}})
    )


Record, Dataclass = made_by(record), made_by(dataclass)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda of: of("a", "b"), id="by position"),
        pytest.param(lambda of: of(secret="b", name="a"), id="by name"),
        pytest.param(lambda of: of("a", "b", 2, items={"c": 3}), id="by both"),
        pytest.param(lambda of: replace(of("a", "b"), number=5), id="a changed copy"),
    ],
)
def test_a_record_has_the_values_and_the_text_of_a_dataclass(make: Any) -> None:
    ours, other = make(Record), make(Dataclass)
    assert list(vars(ours).items()) == list(vars(other).items())
    assert asdict(ours) == asdict(other)
    assert repr(ours) == repr(other)
    assert ours == make(Record)
    assert ours != other


def test_each_record_has_its_own_default() -> None:
    assert Record("a", "b").items is not Record("a", "b").items


def test_equal_records_have_the_same_hash() -> None:
    assert len({Record("a", "b", 2, ()), Record("a", "b", 2, ()), Record("a", "b", 3, ())}) == 2


def test_the_fields_of_a_record_are_those_of_a_dataclass() -> None:
    assert [(each.name, each.metadata) for each in fields(Record)] == [
        (each.name, each.metadata) for each in fields(Dataclass)
    ]


@pytest.mark.parametrize(
    ("values", "more"),
    [
        pytest.param(("a",), {}, id="one is missing"),
        pytest.param(("a", "b", 1, {}, 2), {}, id="one too many"),
        pytest.param(("a", "b"), {"name": "c"}, id="one twice"),
        pytest.param(("a", "b"), {"other": "c"}, id="an unknown one"),
    ],
)
def test_a_record_needs_each_of_its_fields_once(values: tuple[object, ...], more: dict[str, object]) -> None:
    for of in (Record, Dataclass):
        with pytest.raises(TypeError):
            of(*values, **more)


def test_nothing_changes_a_record() -> None:
    some = Record("a", "b")
    with pytest.raises(FrozenInstanceError):
        some.name = "c"
    with pytest.raises(FrozenInstanceError):
        del some.name
    assert some.name == "a"
