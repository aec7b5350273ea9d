"""Read the init.d scripts of an existing deployment (`init --from`): Celery's own, and others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from procman.celery_cli.script_file import text_of
from procman.init.importing.existing import Existing, Reading, Stop
from procman.init.importing.readers.celery_defaults import Defaults, beat_of, read_defaults, workers_of
from procman.init.importing.readers.multi_nodes import with_nodes
from procman.init.importing.understand import understood, with_understood
from procman.model import Kind
from procman.sources import INIT_D, Source

OF_WORKERS = re.compile(r"\bCELERYD_(?:MULTI|NODES)\b")
OF_BEAT = re.compile(r"\bCELERYBEAT(?:_OPTS)?\b")
DEFAULTS = re.compile(r"/etc/(?:default|conf\.d|sysconfig)/[\w.-]+")


def read(files: Sequence[Path], _: Mapping[str, str], root: Path = Path("/")) -> Reading:
    """Return the programs of the init.d scripts `files`. `root` is the root directory of the host."""
    readings = [of_script(file, root) for file in files]
    return Reading(
        tuple(program for each in readings for program in each.programs),
        tuple(dict.fromkeys(remark for each in readings for remark in each.remarks)),
        tuple(dict.fromkeys(file for each in readings for file in each.files)),
    )


def of_script(script: Path, root: Path = Path("/")) -> Reading:
    """Return the programs of one script. Raises ProcmanError if its defaults cannot be read."""
    text = text_of(script)
    kind = _kind(script, text, root)
    if kind is None:
        return Reading(tuple(_of_any(script)), files=(script,))
    is_workers = kind is Kind.WORKER
    files = [file for file in _defaults(script, text, root) if file.is_file()]
    defaults = read_defaults(files) if files else Defaults((script,))
    programs = workers_of(defaults, str(script)) if is_workers else [beat_of(defaults, script)]
    source = Source(INIT_D, script.name)
    named = [replace(each, source=source._replace(name=each.name if is_workers else "")) for each in programs]
    group = "CELERYD_GROUP" if is_workers else "CELERYBEAT_GROUP"
    if "--gid" in text:
        # Later versions of the script give it only to their directories, and run Celery in the user's own group.
        named = [replace(each, group=defaults.get(group) or None) for each in named]
    return Reading(tuple(named), defaults.remarks, (script, *files))


def _kind(script: Path, text: str, root: Path) -> Kind | None:
    """Return what the script starts if it is one of Celery's, by its own text or else by its defaults."""
    if OF_WORKERS.search(text) or OF_BEAT.search(text):
        return Kind.WORKER if OF_WORKERS.search(text) else Kind.BEAT
    file = root / "etc/default" / script.name
    if "celery" not in script.name or not file.is_file() or any(each.command for each in _of_any(script)):
        return None
    names = read_defaults([file]).variables
    has_beat = any(name.startswith("CELERYBEAT_") for name in names)
    has_workers = any(name.startswith("CELERYD_") for name in names)
    return Kind.BEAT if has_beat and not has_workers else Kind.WORKER if has_workers else None


def _defaults(script: Path, text: str, root: Path) -> list[Path]:
    """Return the files that the script reads: celerybeat reads those of celeryd first."""
    named = [root / found.lstrip("/") for found in DEFAULTS.findall(text)]
    own = root / "etc/default" / script.name
    others = [each for each in named if each.name in ("celeryd", script.name) and each.parent.name == "default"]
    if OF_WORKERS.search(text):
        others = [each for each in others if each.name == script.name]
    return list(dict.fromkeys([*others, own]))


def _of_any(script: Path) -> list[Existing]:
    """Return what any other script starts when it is called with `start`."""
    found = understood([str(script), "start"], {}, Path("/"), place=str(script))
    source = Source(INIT_D, script.name)
    whole = Existing(str(script), script.name, script, 1, (), stop=Stop(restarts="never"), source=source)
    directory = found.directory if found.directory != Path("/") else None
    return with_nodes(replace(with_understood(whole, found), directory=directory))
