"""Stops existing programs before those that take their places start, and brings them back (R12)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from procman.adoption import adopter_of
from procman.adoption.base import Candidate
from procman.backends import controller_of
from procman.background import side_by_side
from procman.deploy.failure import Failure
from procman.deploy.order_records import log_events, ordered
from procman.errors import ProcmanError
from procman.install.safe_fs.tree import Tree
from procman.install.state.backups import copies
from procman.install.state.manifest import Manifest, Pending
from procman.install.state.pending_adoptions import mark_adopted, mark_returned
from procman.model import Action, Activation, Adopted, Adoption, InstalledProgram
from procman.sources import Source, source_in

if TYPE_CHECKING:
    from procman.deploy.rollout import Outcome, RolloutOptions


class Adopting:
    """Stops the existing programs that a plan adopts, and brings back those that it gives up (R12)."""

    def __init__(
        self, tree: Tree, manifest: Manifest, options: RolloutOptions, outcome: Outcome, pending: Pending | None
    ) -> None:
        self._tree, self._manifest, self._options, self._outcome = tree, manifest, options, outcome
        self._left = [*pending.adoptions] if pending else []
        self._returned = [*pending.returned] if pending else []
        starting = {each.program.name for each in pending.activations} if pending else set()
        self._first = [each for each in self._left if each.has_beat or not _names_of(each) & starting]
        self.successors = {name for each in self._left for name in _names_of(each)}

    def make_room(self, names: Collection[str]) -> None:
        """Stop what the programs `names` replace, before everything else each beat, and what no program waits for."""
        adoptions = [each for each in self._left if each in self._first or _names_of(each) & {*names}]
        self._left = [each for each in self._left if each not in adoptions]
        failures = adopt(self._tree, self._manifest, adoptions, self._options) if adoptions else []
        self._outcome.failures += failures
        self._outcome.begun |= {failure.program.name for failure in failures}

    def begin(self) -> None:
        """Do what comes before the first start, once: bring back what is no longer adopted, and stop the beats.

        The programs in the places of the former have been removed by now.
        """
        returned, self._returned = self._returned, []
        bring_back(self._tree, self._manifest, returned, self._options)
        self.make_room(())


def adopt(tree: Tree, manifest: Manifest, adoptions: Sequence[Adoption], options: RolloutOptions) -> list[Failure]:
    """Stop what `adoptions` name, all at the same time, and record each that has stopped; return the failures."""
    calls = [partial(_stop, manifest, adoption, options) for adoption in adoptions]
    failures = []
    for adoption, answer in side_by_side(calls) if calls else ():
        if isinstance(answer, ProcmanError):
            failures.append(Failure(_program(manifest, adoption), f"{adoption.label}: {answer.message}", answer.hint))
            continue
        mark_adopted(tree, manifest.directories.state, adoption)
        done, remark = answer
        _report(manifest, adoption, done, remark, options)
    return failures


def _names_of(adoption: Adoption) -> set[str]:
    return {each.program for each in adoption.adopted}


def _stop(
    manifest: Manifest, adoption: Adoption, options: RolloutOptions
) -> tuple[Adoption, tuple[str, str] | ProcmanError]:
    candidate = replace(_candidate(adoption), stop_signal=_program(manifest, adoption).stop_signal)
    adopter, progress = adopter_of(candidate.sources[0].scheme), options.reporter.progress
    names = {*_names_of(adoption), _program(manifest, adoption).name}
    timeouts = [each.stop_timeout_seconds for each in manifest.programs if each.name in names]
    try:
        done = adopter.stop(
            candidate, max(timeouts, default=_program(manifest, adoption).stop_timeout_seconds), progress
        )
        return adoption, (done, adopter.forget(candidate, progress))
    except ProcmanError as error:
        return adoption, error


def _report(manifest: Manifest, adoption: Adoption, done: str, remark: str, options: RolloutOptions) -> None:
    names = sorted(_names_of(adoption))
    verb = "takes" if len(names) == 1 else "take"
    options.reporter.announce(f"{adoption.label}: {done}; {', '.join(names)} {verb} its place")
    for line in f"note: {remark}".splitlines() if remark else ():
        options.reporter.announce(line)
    log_events(manifest, [ordered(each.program, "adopted", reason=each.source) for each in adoption.adopted])


def _candidate(adoption: Adoption) -> Candidate:
    """Return what an adopter found as `adoption` was recorded; its files have been changed since."""
    first = adoption.adopted[0]
    return Candidate(
        sources=tuple(_source(each) for each in adoption.adopted),
        label=adoption.label,
        is_running=first.was_running,
        is_enabled=first.was_enabled,
        has_beat=adoption.has_beat,
        links=first.links,
        manager=first.manager,
        processes=adoption.processes,
    )


def _source(adopted: Adopted) -> Source:
    source = source_in(adopted.source)
    if source is None:
        raise ProcmanError(f"{adopted.source} is not a source that this procman knows", hint="Upgrade procman.")
    return source


def _program(manifest: Manifest, adoption: Adoption) -> InstalledProgram:
    names = _names_of(adoption)
    return next((each for each in manifest.programs if each.name in names), manifest.programs[0])


def bring_back(tree: Tree, manifest: Manifest, returned: Sequence[Adopted], options: RolloutOptions) -> None:
    """Start `returned` again, as they were before their adoption; report one that cannot be started."""
    for adopted in returned:
        source = _source(adopted)
        try:
            done = adopter_of(source.scheme).bring_back(adopted, options.reporter.progress)
        except ProcmanError as error:
            remedy = "" if error.hint else "; start it by hand"
            old = _old_file(tree, manifest.directories.state, source)
            done = f"cannot be restored: {error.in_one_line}{remedy} (the old file: {old})"
        label = f"{source.name} of {source.place}" if source.name else source.place
        options.reporter.announce(f"{label}: {done}")
        mark_returned(tree, manifest.directories.state, adopted)
        log_events(manifest, [ordered(adopted.program, "restored", reason=adopted.source)])


def _old_file(tree: Tree, state: Path, source: Source) -> Path:
    """Return the newest backup of the file of `source`; the directory of all backups if there is none by that name."""
    found = [copy for copy in copies(tree, state) if copy.is_relative_to(state) and str(copy).endswith(source.place)]
    return max(found, default=state / "set-aside")


def load_restored(
    tree: Tree,
    manifest: Manifest,
    restored: Collection[Path],
    programs: Sequence[InstalledProgram],
    options: RolloutOptions,
) -> None:
    """Start those of `programs` that the `restored` files define under the same name, as `--replace` adopted units."""
    controller = controller_of(manifest)
    for path in restored:
        found = tree.look(path)
        text = (found.content if found else None) or b""
        for program in programs:
            if f":{program.name}]".encode() not in text and path.stem != program.name:
                continue
            try:
                options.reporter.activate(controller, Activation(Action.ADD, program, True))
            except ProcmanError as error:
                options.reporter.announce(
                    f"{program.name}: cannot start it again from {path}: {error.message}; start it by hand"
                )
