"""Whatever an existing program has, the procman.toml made from it is one that the loader accepts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from procman.celery_cli.parse import read_command
from procman.config.load import load
from procman.errors import ConfigurationError
from procman.init.draft import Draft
from procman.init.write_toml import text_of
from procman.sources import SUPERVISOR, Source
from tests.hostile import examples
from tests.init.importing.programs import existing
from tests.init.importing.test_take import taken

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
OPTIONS = st.lists(
    st.one_of(
        st.sampled_from(["-B", "-E", "--queue=a", "--max=1", "--detach", "-Ofair", "--", "-n", "--autoscale=1,2"]),
        st.builds("{}={}".format, st.sampled_from(["--concurrency", "-Q", "--pool", "--hostname", "--x-y"]), TEXT),
        TEXT,
    ),
    max_size=6,
)
PROGRAMS = st.lists(
    st.tuples(
        TEXT,
        st.sampled_from(["worker", "beat"]),
        OPTIONS,
        st.dictionaries(TEXT | st.sampled_from(["PATH", "API_TOKEN", "PYTHONPATH"]), TEXT, max_size=3),
        st.fixed_dictionaries(
            {},
            optional={
                "user": TEXT | st.just("root"),
                "group": TEXT,
                "after": st.lists(TEXT, max_size=2).map(tuple),
                "wrapper": st.lists(TEXT, max_size=2).map(tuple),
                "supervisor_options": st.dictionaries(TEXT | st.just("priority"), TEXT | st.integers(), max_size=2),
                "systemd_directives": st.dictionaries(TEXT | st.just("PrivateTmp"), TEXT, max_size=2),
                "source": st.builds(Source, st.just(SUPERVISOR), st.just("/etc/x.conf") | TEXT, TEXT),
            },
        ),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=examples(60), deadline=None)
@given(PROGRAMS)
def test_loader_accepts_whatever_is_imported_but_for_keys_to_fill_in(found: list[Any]) -> None:
    programs = []
    for name, kind, options, environment, more in found:
        words = ("/srv/env/bin/celery", "-A", "shop", kind, *options)
        command = read_command(words)
        if command:
            programs.append(existing(name, environment=environment, **more))
            programs[-1] = replace(programs[-1], words=words, command=command)
    draft = taken(programs) if programs else Draft({"project": {"name": "shop"}})
    for key in ("app", "directory", "virtualenv", "user"):
        draft.ask_for("project", key, "unknown")
    assert _refused(draft) <= {*draft.fill_in, "worker"}


def _refused(draft: Draft) -> set[str]:
    try:
        load(Path("/etc/procman/shop.toml"), {}, text=text_of(draft))
    except ConfigurationError as error:
        return {key for key, _ in error.keys}
    return set()
