"""R12: an adoption never leaves old and new programs running side by side, and gives back everything it took."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from procman.adoption import supervisord
from procman.adoption.base import Candidate
from procman.backends.graceful_stop import MARGIN_SECONDS
from procman.errors import ProcmanError
from procman.sources import SUPERVISOR, Source
from tests.contracts.existing_supervisord import ExistingSupervisord, documented_by_catmaid
from tests.contracts.test_r2_killed_anywhere import STRACE, counted, traced
from tests.product import Product, eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]

OLD = "[program:{}]\ncommand=sleep 3000\n"
GROUP = "[group:site]\nprograms=one,web\n\n[program:web]\ncommand=sleep 4000\n"


class Deployment:
    """Programs that sleep under an existing supervisord: `one` in a group with `web`, `two` alone, `three` stopped."""

    def __init__(self, existing: ExistingSupervisord) -> None:
        self.existing, self.product = existing, existing.product
        self.files = [
            existing.write("conf.d/one.conf", f"; before\n{OLD.format('one')}\n{GROUP}; after\n"),
            existing.write("conf.d/two.conf", OLD.format("two")),
            existing.write("conf.d/three.conf", f"{OLD.format('three')}\n{OLD.format('four')}autostart=false\n"),
        ]
        self.before = self.contents()
        existing.start()
        names = ("site:one", "site:web", "two", "three", "other")
        eventually(lambda: {self.states().get(name) for name in names} == {"RUNNING"}, "the old programs run")
        existing.ctl("stop", "three")
        self.pids = self.pids_of_others()

    def contents(self) -> list[str]:
        return [file.read_text() if file.exists() else "" for file in self.files]

    def pids_of_others(self) -> list[int]:
        return [self.existing.pid("site:web"), self.existing.pid("other")]

    def states(self) -> dict[str, str]:
        lines = (line.split() for line in self.existing.ctl("status").stdout.splitlines())
        return {words[0]: words[1] for words in lines}

    def configure(self, **seconds: str) -> None:
        """Write procman.toml with a command for each of `seconds`, which adopts the old program in the file of it."""
        places = {"one": 0, "two": 1, "three": 2, "four": 2}
        tables = [
            f"[command.new-{name}]\nargv = ['sleep', '{value}']\n"
            f"adopts = ['supervisor:{self.files[places[name]]}:{name}']"
            for name, value in seconds.items()
        ]
        text = self.product.configuration.read_text()
        begin = min(text.index(start) for start in ("[worker", "[command") if start in text)
        written = text[:begin] + "\n".join(tables) + text[text.index("\n[supervisor]") :]
        self.product.configuration.write_text(written)

    def assert_adopted(self) -> None:
        """Assert that the new programs run in place of the old ones, and nothing else has changed."""
        expected = dict.fromkeys(("other", "site:web", "catmaid-new-one", "catmaid-new-two"), "RUNNING")
        expected |= dict.fromkeys(("site:one", "three", "four"), "STOPPED")
        eventually(lambda: self.states() == expected, f"adopted: {self.states()}")
        assert [self.files[1].exists(), self.contents()[0]] == [
            False,
            "; before\n\n[group:site]\nprograms=web\n\n[program:web]\ncommand=sleep 4000\n; after\n",
        ]
        assert self.pids_of_others() == self.pids

    def assert_as_before(self) -> None:
        """Assert that the old programs run again, those that did, and every file has its old bytes."""
        expected = {"other": "RUNNING", "site:web": "RUNNING", "site:one": "RUNNING", "two": "RUNNING"}
        eventually(lambda: expected.items() <= self.states().items(), f"as before: {self.states()}")
        assert self.states().keys() - expected.keys() <= {"three", "four"}
        assert "RUNNING" not in [self.states().get(name) for name in ("three", "four")]
        assert self.contents() == self.before
        assert self.pids_of_others() == self.pids
        assert not any("catmaid" in path.name for path in self.existing.include.iterdir())


@pytest.fixture
def deployment(existing: ExistingSupervisord) -> Deployment:
    return Deployment(existing)


def test_renamed_programs_are_adopted_from_groups_and_files_and_given_back(deployment: Deployment) -> None:
    product = deployment.product
    deployment.configure(one="1001", two="1002", three="1003", four="1004")
    shown = product.procman("install", "--dry-run", "-v").stdout
    one, two = (f"[program:{name}] of {deployment.files[at]}" for name, at in (("one", 0), ("two", 1)))
    assert f"adopts    {one}: stops gracefully first, then catmaid-new-one starts in its place\n" in shown
    assert f"  stop {two}\n  add catmaid-new-two\n" in shown
    assert f"~ {deployment.files[1]}  not managed by procman: set aside\n" in shown
    deployment.assert_as_before()

    done = product.procman("install", "--wait", "30")
    # A program of a group cannot be removed from supervisord alone: its restart would start it again.
    control = f"supervisorctl -c {deployment.existing.configuration}"
    assert (
        f"supervisord keeps site:one in memory, stopped; `{control} restart site:` would start it again" in done.stderr
    )
    states = deployment.states()
    # A program that was stopped is not started under its new name (R11); autostart = false was the old one's.
    assert "catmaid-new-three" not in states
    assert states.get("catmaid-new-four") in (None, "STOPPED")
    assert states.keys() & {"two", "three", "four"} == set()
    assert (states["site:one"], states["catmaid-new-one"], states["catmaid-new-two"]) == (
        "STOPPED",
        "RUNNING",
        "RUNNING",
    )
    assert deployment.pids_of_others() == deployment.pids
    events = [json.loads(line) for line in product.procman("events", "--json").stdout.splitlines()]
    assert f"supervisor:{deployment.files[1]}:two" in [each["reason"] for each in events if each["what"] == "adopted"]
    # Each stops only when the one before it has been replaced.
    order = [
        (each["what"], each["program"]) for each in events if each["program"] in ("catmaid-new-one", "catmaid-new-two")
    ]
    assert order == [(what, f"catmaid-new-{name}") for name in ("one", "two") for what in ("adopted", "installed")]
    assert "nothing changed" in product.procman("install").stdout

    product.procman("uninstall")
    deployment.assert_as_before()


@pytest.mark.parametrize("state", ["RUNNING", "STOPPED"])
def test_program_of_a_group_that_was_loaded_without_it_is_given_back(deployment: Deployment, state: str) -> None:
    """As after a reboot, or after the command that the install prints."""
    product, existing = deployment.product, deployment.existing
    deployment.configure(one="1001")
    product.procman("install")
    existing.ctl("update", "site")
    assert "site:one" not in deployment.states()
    deployment.pids = deployment.pids_of_others()
    update = f"supervisorctl -c {existing.configuration} update site"
    if state == "STOPPED":
        existing.ctl("stop", "site:web")
    printed = product.procman("uninstall").stderr
    if state == "STOPPED":
        # It has ended, so that its group can be loaded again; it was stopped on purpose.
        eventually(lambda: deployment.states()["site:one"] == "RUNNING", "the old program runs again")
        assert deployment.states()["site:web"] == "STOPPED"
    else:
        reason = "not started yet, because supervisord has loaded the group site without it"
        assert f"one of {deployment.files[0]}: {reason}: `{update}` starts it, and restarts web\n" in printed
        assert deployment.pids_of_others() == deployment.pids
        existing.ctl(*update.split()[3:])
        eventually(lambda: deployment.states()["site:one"] == "RUNNING", "the old program runs again")
    assert deployment.contents() == deployment.before


def test_program_whose_file_was_edited_since_is_brought_back_by_the_printed_command(deployment: Deployment) -> None:
    product, file = deployment.product, deployment.files[0]
    deployment.configure(one="1001")
    product.procman("install")
    file.write_text(f"{file.read_text()}; edited\n")
    printed = product.procman("uninstall").stderr
    [line] = [each for each in printed.splitlines() if each.startswith("one of ")]
    match = re.search(r"`(.*)` \(the old file: (.*)\)$", line)
    assert match
    old = Path(match[2])
    assert old.read_text() == deployment.before[0]
    shutil.copy(old, file)
    control = f"supervisorctl -c {deployment.existing.configuration} "
    update, start = match[1].split("; ")
    for command in (update, start):
        deployment.existing.ctl(*command.removeprefix(control).split())
    eventually(lambda: deployment.states()["site:one"] == "RUNNING", "the old program runs again")


def test_failed_adoption_is_rolled_back_as_a_whole(deployment: Deployment) -> None:
    """R4, on a first install and on a later one; a rollback gives back, and the next one adopts again."""
    product = deployment.product
    deployment.configure(one="1001", two="no number")
    failed = product.procman("install", "--wait", "8", check=False)
    assert failed.returncode == 1
    deployment.assert_as_before()

    deployment.configure(one="1001")
    product.procman("install", "--wait", "30")
    deployment.configure(one="1001", two="no number")
    assert product.procman("install", "--wait", "8", check=False).returncode == 1

    def is_only_one_adopted() -> None:
        eventually(lambda: deployment.states()["two"] == "RUNNING", "the old program runs again")
        assert deployment.contents()[1:] == deployment.before[1:]
        assert deployment.states()["catmaid-new-one"] == "RUNNING"
        assert "catmaid-new-two" not in deployment.states()

    is_only_one_adopted()
    deployment.configure(one="1001", two="1002")
    number = re.findall(r"generation (\d+)", product.procman("install", "--wait", "30").stdout)[0]
    deployment.assert_adopted()
    product.procman("rollback")
    is_only_one_adopted()
    product.procman("rollback", number)
    deployment.assert_adopted()


@pytest.mark.strace
@pytest.mark.skipif(STRACE is None, reason="strace(1) is missing: apt-get install strace")
def test_second_adoption_from_a_file_is_rolled_back_and_completed_alone(existing: ExistingSupervisord) -> None:
    """R2, R4: the file as the first adoption left it no longer has what that adopted."""
    file = existing.write("conf.d/pair.conf", OLD.format("left") + OLD.format("right"))
    existing.start()
    eventually(lambda: existing.ctl("status").stdout.count("RUNNING") == 3, "the old programs run")
    product, text = existing.product, existing.product.configuration.read_text()

    def configure(right: str = "1002", adopts: str = f"adopts = ['supervisor:{file}:right']") -> None:
        tables = f"[command.new-left]\nargv = ['sleep', '1001']\nadopts = ['supervisor:{file}:left']\n"
        tables += (
            f"[command.new-right]\nargv = ['sleep', '{right}']\nautostart = {str(bool(adopts)).lower()}\n{adopts}\n"
        )
        product.configuration.write_text(text[: text.index("[worker")] + tables + text[text.index("\n[supervisor]") :])

    def is_right_given_back() -> None:
        eventually(lambda: "RUNNING" in existing.ctl("status", "right").stdout, "the old program runs again")
        assert file.read_text() == OLD.format("right")

    configure(adopts="")
    product.procman("install", "--wait", "30")
    configure(right="no number")
    failed = product.procman("install", "--wait", "8", check=False)
    assert "Rolled back to generation 1" in failed.stderr
    is_right_given_back()
    configure()
    # Killed as it sets the file aside, after it has recorded its work.
    killed = ["-o", os.devnull, "-P", str(file.parent), "-e", "trace=unlinkat", "-e", "inject=unlinkat:signal=KILL"]
    assert traced(product, killed, "install", "--no-check").returncode == -signal.SIGKILL
    assert [file.exists(), len([*product.directory.glob("s/procman/catmaid/pending.json")])] == [True, 1]
    product.procman("install", "--wait", "30")
    assert not file.exists()
    product.procman("rollback")
    is_right_given_back()
    product.procman("uninstall")
    assert file.read_text() == OLD.format("left") + OLD.format("right")


def kill_and_complete(deployment: Deployment, how_many: int) -> None:
    """Kill an install and an uninstall at some of their system calls, and run each again."""
    product = deployment.product
    deployment.configure(one="1001", two="1002")
    steps = {"install": deployment.assert_adopted, "uninstall": deployment.assert_as_before}
    points = {}
    for command, assert_done in steps.items():
        words = [command, *(["--no-check"] if command == "install" else [])]
        found = counted(product, product.directory / "strace", *words)
        # The first calls look for files, and read the configuration of supervisord in a private directory.
        begin = next(at for at, (name, _) in enumerate(found) if at > len(found) // 4 and name == "connect")
        points[command] = found[begin :: max(1, (len(found) - begin) // how_many)]
        assert_done()
    statuses = []
    for number in range(max(map(len, points.values()))):
        for command, assert_done in steps.items():
            words = [command, *(["--no-check"] if command == "install" else [])]
            name, when = points[command][min(number, len(points[command]) - 1)]
            killed = ["-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={when}"]
            statuses.append(traced(product, ["-o", os.devnull, *killed], *words).returncode)
            again = product.procman(command, check=False)
            # All that an uninstall has left may be the removal of its own record.
            assert again.returncode == 0 or "is not installed" in again.stderr, again.stderr
            assert_done()
    assert statuses.count(-signal.SIGKILL) > len(statuses) / 2


@pytest.mark.strace
@pytest.mark.skipif(STRACE is None, reason="strace(1) is missing: apt-get install strace")
def test_killed_adoption_is_completed_by_the_next_install(deployment: Deployment) -> None:
    """R2."""
    kill_and_complete(deployment, 3)


@pytest.mark.strace
@pytest.mark.skipif(STRACE is None, reason="strace(1) is missing: apt-get install strace")
@pytest.mark.parametrize("words", [("uninstall",), ("uninstall", "--purge")], ids=" ".join)
def test_first_install_that_was_killed_is_undone_by_uninstall(deployment: Deployment, words: tuple[str, ...]) -> None:
    """R2: it has changed the files, but not recorded its generation as the current one."""
    deployment.configure(one="1001", two="1002")
    killed = ["-o", os.devnull, "-e", "trace=symlinkat", "-e", "inject=symlinkat:signal=KILL:when=1"]
    assert traced(deployment.product, killed, "install", "--no-check").returncode == -signal.SIGKILL
    assert not deployment.files[1].exists()
    deployment.product.procman(*words)
    deployment.assert_as_before()


@pytest.mark.chaos
@pytest.mark.timeout(7200)
@pytest.mark.strace
@pytest.mark.skipif(STRACE is None, reason="strace(1) is missing: apt-get install strace")
def test_adoption_killed_at_many_system_calls_is_completed(deployment: Deployment) -> None:
    kill_and_complete(deployment, 25)


def test_install_that_would_adopt_nothing_changes_nothing(deployment: Deployment) -> None:
    """U1: a source that matches nothing, one in two tables, and a FILE of --replace with other programs only."""
    product, (one, two, _) = deployment.product, deployment.files
    deployment.configure(one="1001", two="1002")
    text = product.configuration.read_text()

    def refused(first: str, second: str, *replace: str) -> str:
        adopts = iter((first, second))
        changed = re.sub("adopts = .*", lambda _: f"adopts = ['{next(adopts)}']", text)
        product.configuration.write_text(changed.replace("adopts = ['']", ""))
        done = product.procman("install", *replace, check=False)
        assert done.returncode == 1
        return done.stderr

    absent, gone, known = f"supervisor:{one}:absent", f"supervisor:{one}.gone:one", f"supervisor:{one}:one"
    printed = refused(absent, gone)
    assert f"procman.toml: command.new-one: adopts: {absent}: that file defines no program absent, only" in printed
    assert f"procman.toml: command.new-two: adopts: {gone}: the file does not exist" in printed
    assert "Correct or remove it there. Nothing was changed." in printed
    assert f"procman.toml: command.new-one and command.new-two both adopt {known}" in refused(known, known)
    printed = refused(known, "", "--replace", str(two))
    assert f"{two} defines two, none of which procman installs: --replace would adopt nothing" in printed
    assert f'adopts = ["supervisor:{two}:two"]' in printed
    deployment.assert_as_before()


def test_program_that_ends_after_its_adoption_was_given_up_is_reported(existing: ExistingSupervisord) -> None:
    """R4: supervisord would leave a worker stopped that ends after its last task, with exit status 0."""
    command = "sh -c \"trap '' TERM; exec sleep 1000\""
    file = existing.write("conf.d/slow.conf", f"[program:slow]\ncommand={command}\nstopsignal=KILL\n")
    existing.start()
    eventually(lambda: "RUNNING" in existing.ctl("status", "slow").stdout, "the old program runs")
    source = Source(SUPERVISOR, str(file), "slow")
    slow = Candidate(
        (source,), "slow", True, True, False, manager=str(existing.configuration), processes=("slow:slow",)
    )
    with pytest.raises(ProcmanError, match="did not stop within") as error:
        supervisord.stop(slow, 1 - MARGIN_SECONDS, print)
    assert error.value.hint.endswith(f"start it again then: supervisorctl -c {existing.configuration} start slow:slow")


def celery_example(existing: ExistingSupervisord) -> tuple[Path, Path]:
    """Write Celery's own example for supervisord: a worker whose stop would lose tasks, and a beat in another file."""
    product = existing.product
    celery = f"{product.virtualenv}/bin/celery -A mysite"
    options = (
        f"directory={product.code}\n"
        f'environment=DJANGO_SETTINGS_MODULE="mysite.settings",DEMO_DATA_DIRECTORY="{product.data}"\n'
        "stopwaitsecs=1\nstopasgroup=true\n"
    )
    worker = f"{celery} worker --concurrency=1 -n worker@%%h"
    schedule = product.directory / "schedule"
    return (
        existing.write("conf.d/celeryd.conf", f"[program:celery]\ncommand={worker}\n{options}"),
        existing.write("conf.d/beat.conf", f"[program:celerybeat]\ncommand={celery} beat -s {schedule}\n{options}"),
    )


def imported(product: Product, *files: Path) -> str:
    """Return the tables of the programs in `files`, as `init --from` writes them."""
    sources = [word for file in files for word in ("--from", str(file))]
    written = product.procman("init", "--name", "catmaid", *sources, "--output", "-", str(product.code)).stdout
    begin, end = written.index("[worker.celery]"), written.index("[supervisor]")
    return written[begin:end]


def test_worker_and_beat_of_another_supervisord_are_adopted_without_losing_a_task(
    existing: ExistingSupervisord, product: Product
) -> None:
    worker, beat = celery_example(existing)
    before = [worker.read_bytes(), beat.read_bytes()]
    existing.start()
    product.send("hold", 1, 6)
    eventually(lambda: product.counted("started") == Counter([1]), "the old worker runs the task")
    old, other = product.main_processes("worker@"), existing.pid("other")
    product.configure(imported(product, worker, beat))
    done = product.procman("install", "--wait", "60")
    assert product.counted("started") == product.counted("finished") == Counter([1])
    # Beat stops first and starts last.
    assert re.findall(r"^\[program:(\w+)\]", done.stderr, re.MULTILINE) == ["celerybeat", "celery"]
    assert re.findall(r"^(catmaid-\S+): ", done.stdout, re.MULTILINE) == ["catmaid-celery", "catmaid-celery-beat"]
    # The install starts procman's supervisord, and no new program with it.
    assert "catmaid-celery: started\n" in done.stdout
    # The import keeps the node name.
    new = product.main_processes("worker@")
    assert (len(old), len(new), {*old} & {*new}, len(product.main_processes("beat"))) == (1, 1, set(), 1)
    assert existing.ctl("status").stdout.split()[0] == "other"
    assert (worker.exists(), beat.exists(), existing.pid("other")) == (False, False, other)

    restored = product.procman("uninstall")
    assert "celerybeat of" in restored.stderr
    assert [worker.read_bytes(), beat.read_bytes()] == before
    eventually(lambda: "celery RUNNING" in " ".join(existing.ctl("status").stdout.split()), "the old worker runs again")
    assert [len(product.main_processes(name)) for name in ("worker@", "beat")] == [1, 1]
    assert existing.pid("other") == other


def test_same_names_are_adopted_from_a_group_by_the_key_alone(existing: ExistingSupervisord, product: Product) -> None:
    file = documented_by_catmaid(existing)
    before = file.read_bytes()
    existing.start()
    eventually(lambda: "RUNNING" in existing.ctl("status", "catmaid:catmaid-celery").stdout, "the old worker runs")
    app = existing.pid("catmaid:catmaid-app")
    text = product.configuration.read_text()
    source = f"supervisor:{file}:catmaid-celery"
    product.configuration.write_text(text.replace("concurrency = 1\n", f"concurrency = 1\nadopts = ['{source}']\n"))
    product.procman("install", "--wait", "60")
    assert len(product.main_processes("worker")) == 1
    assert existing.ctl("status", "catmaid-celery").returncode == 0

    # CATMAID's documented command starts the old worker again, which supervisord still has in its memory.
    existing.ctl("restart", "catmaid:")
    app = existing.pid("catmaid:catmaid-app")
    assert len(product.main_processes("worker")) == 2
    found = product.status()["catmaid-celery"]["health"]
    assert (found["level"], found["code"]) == ("CRITICAL", "PM115")
    assert f"{source}, which catmaid-celery replaced, runs again as process " in found["detail"]
    stop = f"supervisorctl -c {existing.configuration} stop catmaid:catmaid-celery"
    assert found["hint"].splitlines()[0] == stop
    assert "PM115" in product.procman("health", check=False).stdout
    assert "CRITICAL  PM748" in product.procman("check", check=False).stdout
    existing.ctl(*stop.split()[3:])
    assert product.status()["catmaid-celery"]["health"]["level"] == "OK"

    product.procman("uninstall")
    assert file.read_bytes() == before
    eventually(
        lambda: "RUNNING" in existing.ctl("status", "catmaid:catmaid-celery").stdout, "the old worker runs again"
    )
    assert len(product.main_processes("worker")) == 1
    assert existing.pid("catmaid:catmaid-app") == app
    shutil.rmtree(product.data, ignore_errors=True)
