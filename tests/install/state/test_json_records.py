"""Records survive a round trip through JSON; anything else is refused with the reason."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from procman import model
from procman.config.load import load
from procman.errors import ProcmanError
from procman.install.plan.describe import describe
from procman.install.state import json_records
from procman.install.state import manifest as manifest_records
from procman.install.state.manifest import Manifest, Pending, digest
from procman.model import Activation, HealthSettings, InstalledProgram, Kind, setting
from procman.project import RenderedFile, Rendering
from procman.records import record
from tests.install import sample

PATH = Path("/var/lib/procman/catmaid/generations/1/manifest.json")

EXAMPLES = min(30, settings.default.max_examples) if settings.default else 30
"""Each has hundreds of fields, and takes a quarter of a second."""

# Any possible file name: bytes that are not UTF-8 reach Python as lone surrogates.
st.register_type_strategy(int, st.integers(-(2**63), 2**63))
st.register_type_strategy(
    Path, st.text(st.characters(exclude_characters="\0"), min_size=1).map(lambda name: Path("/", name.strip("/")))
)


def _any_record(kind: type) -> st.SearchStrategy[object]:
    return st.builds(kind, **{name: st.from_type(hint) for name, hint in get_type_hints(kind).items()})


# All records share a constructor, which does not show Hypothesis the fields of one.
for each in vars(model), vars(manifest_records):
    for kind in each.values():
        if isinstance(kind, type) and is_dataclass(kind):
            st.register_type_strategy(kind, _any_record)


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.from_type(Manifest))
def test_manifest_survives_round_trip(manifest: Manifest) -> None:
    assert json_records.from_bytes(Manifest, json_records.to_bytes(manifest), PATH) == manifest


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.from_type(Pending))
def test_pending_activations_survive_round_trip(pending: Pending) -> None:
    assert json_records.from_bytes(Pending, json_records.to_bytes(pending), PATH) == pending


def test_equal_records_have_equal_bytes(tmp_path: Path) -> None:
    one, two = (_manifest(tmp_path) for _ in range(2))
    assert json_records.to_bytes(one) == json_records.to_bytes(two)


def test_newer_format_is_reported_as_newer(tmp_path: Path) -> None:
    with pytest.raises(ProcmanError, match=r"manifest.json was written by a newer procman \(format 2") as raised:
        json_records.from_bytes(Manifest, _changed(tmp_path, format=2, unheard_of=1), PATH)
    assert "upgrade" in raised.value.hint


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"project": 7}, "project is 7, expected str"),
        ({"project": None}, "project is None, expected str"),
        ({"programs": {}}, "programs is {}, expected list"),
        ({"scope": "galaxy"}, "'galaxy' is not a valid Scope"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"files": [{"path": "/x"}]}, r"files\[0\] has no 'digest'"),
        ({"format": "1"}, "is '1', expected int"),
        ({"format": True}, "is True, expected int"),
        ({"directories_made": ["/a", 1]}, r"directories_made\[1\] is 1, expected str"),
    ],
)
def test_wrong_value_is_named(tmp_path: Path, change: dict[str, object], expected: str) -> None:
    with pytest.raises(ProcmanError, match=expected):
        json_records.from_bytes(Manifest, _changed(tmp_path, **change), PATH)


def test_missing_key_is_named(tmp_path: Path) -> None:
    data = json.loads(json_records.to_bytes(_manifest(tmp_path)))
    del data["backend"]
    with pytest.raises(ProcmanError, match="it has no 'backend'"):
        json_records.from_bytes(Manifest, json.dumps(data).encode(), PATH)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_procman_error(content: bytes) -> None:
    with pytest.raises(ProcmanError, match=r"manifest\.json"):
        json_records.from_bytes(Manifest, content, PATH)


@pytest.mark.thorough
@settings(deadline=None, max_examples=EXAMPLES)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda data: st.lists(data), max_leaves=4))
def test_arbitrary_json_in_any_field_is_read_or_raises_procman_error(data: object) -> None:
    base = Path("/host")
    for key in json.loads(json_records.to_bytes(_manifest(base))):
        # Any other exception fails the test.
        with suppress(ProcmanError):
            json_records.from_bytes(Manifest, _changed(base, **{key: data}), PATH)


def test_truncated_record_is_refused(tmp_path: Path) -> None:
    whole = json_records.to_bytes(_manifest(tmp_path))
    for length in range(0, len(whole) - 2, 97):
        with pytest.raises(ProcmanError, match="cannot be read"):
            json_records.from_bytes(Manifest, whole[:length], PATH)


def test_key_added_by_later_version_may_be_missing() -> None:
    content = b'{"format": 1, "action": "add", "program": %s}'
    program = InstalledProgram("catmaid-celery", "worker.celery", Kind.WORKER, True, 600, 10, True, None, None)
    plain = json.loads(json_records.to_bytes(program))
    del plain["format"], plain["pool"]
    read = json_records.from_bytes(Activation, content % json.dumps(plain).encode(), PATH)
    assert read.program == program


def test_key_added_after_first_release_is_written_only_if_set() -> None:
    @record(frozen=True)
    class Later(HealthSettings):
        failures: int = setting(3, "", between=(1,), later=True)

    written = [json_records.to_bytes(each) for each in (Later(), Later(failures=4))]
    assert [json.loads(each).get("failures") for each in written] == [None, 4]
    assert [json_records.from_bytes(Later, each, PATH).failures for each in written] == [3, 4]


def test_manifest_describes_project_and_rendering(tmp_path: Path) -> None:
    configuration = tmp_path / "procman.toml"
    configuration.write_text(
        '[project]\nname = "catmaid"\napp = "mysite"\ndirectory = "/opt/catmaid"\nvirtualenv = "/opt/env"\n'
        'user = "www-data"\nscope = "system"\nbackend = "supervisor"\n[worker.celery]\n'
        '[beat]\nschedule_file = "/var/lib/catmaid/schedule"\n'
    )
    project = load(configuration, {})
    file = RenderedFile(Path("/etc/x.conf"), "größe", 0o640, "root", None, ("catmaid-celery",), section=True)
    program = sample.installed(tmp_path, "catmaid-celery")
    manifest = describe(
        project,
        Rendering((), (file,)),
        [program],
        procman="1.2",
        configuration=configuration.read_bytes(),
        templates_digest="abc",
    )
    assert (manifest.project, manifest.programs, manifest.procman) == ("catmaid", (program,), "1.2")
    assert manifest.configuration_digest == digest(configuration.read_bytes())
    assert manifest.files[0].digest == digest("größe".encode())
    assert (manifest.files[0].mode, manifest.files[0].section, manifest.files[0].shared) == (0o640, True, False)
    assert manifest.schedule_files == (Path("/var/lib/catmaid/schedule"),)
    assert manifest.log_files == (Path(str(program.log_file)),)
    assert (manifest.health, manifest.directories, manifest.app) == (project.health, project.directories, "mysite")


def _manifest(base: Path) -> Manifest:
    wish = sample.DESIRED_STATES["one"]
    return sample.manifest(base, wish, sample.rendering(base, wish))


def _changed(base: Path, **changes: object) -> bytes:
    return json.dumps(json.loads(json_records.to_bytes(_manifest(base))) | changes).encode()
