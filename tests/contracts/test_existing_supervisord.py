"""procman beside programs that it does not manage, under an existing supervisord."""

from __future__ import annotations

import subprocess
from collections import Counter

import pytest

from tests.contracts.existing_supervisord import ExistingSupervisord, documented_by_catmaid
from tests.product import eventually

pytestmark = [pytest.mark.supervisord, pytest.mark.celery]


def test_other_programs_are_neither_restarted_nor_changed(existing: ExistingSupervisord) -> None:
    existing.start()
    before = existing.pid("other")
    # An administrator changed the file, and supervisord has not read it yet; procman must not make it do so.
    existing.write("conf.d/other.conf", "[program:other]\ncommand=sleep 2000\n")
    installed = existing.product.procman("install", "--wait", "60").stdout
    assert f"\n          supervisorctl -c {existing.configuration} restart catmaid-celery\n" in installed
    assert existing.pid("other") == before
    restarted = existing.ctl("restart", "catmaid-celery")
    assert (restarted.returncode, restarted.stdout) == (0, "catmaid-celery: stopped\ncatmaid-celery: started\n")
    existing.product.procman("uninstall")
    assert existing.pid("other") == before
    assert sorted(path.name for path in existing.include.iterdir()) == ["other.conf"]


def test_install_refuses_an_unmanaged_section_with_file_and_line(existing: ExistingSupervisord) -> None:
    file = documented_by_catmaid(existing)
    existing.start()
    refused = existing.product.procman("install", check=False)
    assert refused.returncode == 1
    assert f"{file}:5: [program:catmaid-celery]" in refused.stderr
    assert f"{file}:11: [group:catmaid]" in refused.stderr
    assert f"procman install --replace {file}" in refused.stderr
    assert sorted(path.name for path in existing.include.iterdir()) == ["catmaid.conf", "other.conf"]
    assert not (existing.product.directory / "s/procman/catmaid/current").exists()


def test_adopted_program_finishes_its_task_and_the_rest_of_its_file_is_kept(existing: ExistingSupervisord) -> None:
    product = existing.product
    file = documented_by_catmaid(existing)
    before = file.read_bytes()
    existing.start()
    eventually(lambda: "RUNNING" in existing.ctl("status", "catmaid:catmaid-celery").stdout, "the old worker runs")
    app = existing.pid("catmaid:catmaid-app")
    # Longer than the stopwaitsecs of the old section, and its stopasgroup would kill it at once.
    product.send("hold", 1, 12)
    eventually(lambda: product.counted("started") == Counter([1]), "the task has started")
    product.procman("install", "--replace", str(file), "--wait", "60")
    assert product.counted("finished") == Counter([1])
    assert existing.pid("catmaid:catmaid-app") == app
    assert file.read_text() == (
        "; the web application\n[program:catmaid-app]\ncommand=sleep 1000\n\n\n[group:catmaid]\nprograms=catmaid-app\n"
    )
    assert len(product.main_processes("worker")) == 1
    again = product.procman("install")
    assert "nothing changed" in again.stdout
    product.procman("uninstall")
    assert file.read_bytes() == before


def test_file_that_another_supervisord_reads_is_not_adopted(existing: ExistingSupervisord) -> None:
    product = existing.product
    file = existing.write("conf.d/unmanaged.conf", "[program:catmaid-a]\ncommand=sleep 3000\n")
    before = file.read_bytes()
    existing.start()
    eventually(lambda: "RUNNING" in existing.ctl("status", "catmaid-a").stdout, "the unmanaged program runs")
    pid = existing.pid("catmaid-a")
    product.configure("[command.a]\nargv = ['sleep', '1000']")
    refused = product.procman("install", "--replace", str(file), check=False)
    assert refused.returncode == 1
    assert f"{file} is not read by the supervisord of {product.supervisord_configuration}" in refused.stderr
    assert 'mode = "existing"' in refused.stderr
    assert "Nothing was changed." in refused.stderr
    assert (file.read_bytes(), existing.pid("catmaid-a")) == (before, pid)
    assert not (product.directory / "s/procman/catmaid/current").exists()
    assert not product.supervisord_configuration.exists()


def test_status_ends_while_supervisord_is_stopped(existing: ExistingSupervisord) -> None:
    existing.start()
    existing.product.procman("install")
    supervisord = int(existing.ctl("pid").stdout)
    subprocess.run(["kill", "-STOP", str(supervisord)], check=True)
    try:
        # Its own timeout is 5 s; without one, that of this test would expire.
        status = existing.product.procman("status", check=False, timeout=120)
    finally:
        subprocess.run(["kill", "-CONT", str(supervisord)], check=True)
    assert status.returncode == 4
    assert "UNKNOWN" in status.stdout


def test_move_to_another_supervisord_finishes_the_task_first_and_never_runs_two_beats(
    existing: ExistingSupervisord,
) -> None:
    product = existing.product
    existing.start()
    there = product.configuration.read_text()
    product.configure("[worker.celery]\nconcurrency = 1\n[worker.idle]\nqueues = ['idle']\n[beat]")
    product.procman("install", "--wait", "60")
    product.procman("stop", "idle")
    product.send("hold", 1, 5)
    eventually(lambda: product.counted("started") == Counter([1]), "the task has started")
    product.configuration.write_text(there.replace("[beat]", "[worker.idle]\nqueues = ['idle']\n[beat]"))
    moved = product.procman("install", "--wait", "60")
    assert product.counted("finished") == Counter([1])
    assert moved.stdout.index("catmaid-celery-beat: stopped and unloaded") < moved.stdout.index("added and started")
    assert {name: len(product.main_processes(name)) for name in ("catmaid-celery@", "beat")} == {
        "catmaid-celery@": 1,
        "beat": 1,
    }
    assert not product.main_processes("catmaid-idle@")
    idle = product.status()["catmaid-idle"]
    assert (idle["state"], idle["wanted"]) == ("STOPPED", False)
    assert existing.ctl("status", "catmaid-celery").returncode == 0
    assert not product.supervisord_configuration.exists()
    assert "nothing changed" in product.procman("install").stdout


def test_failed_move_is_undone(existing: ExistingSupervisord) -> None:
    """R4, and R11: a program that was stopped before stays stopped."""
    product = existing.product
    there = product.configuration.read_text()
    here = "\n".join(f"[command.{name}]\nargv = ['sleep', '1000']" for name in "abc")
    product.configure(here)
    product.procman("install", "--wait", "60")
    product.procman("stop", "c")
    moving = there[: there.index("[worker")] + here + there[there.index("\n[supervisor]") :]

    def is_undone() -> None:
        found = product.status()
        assert {name: (each["state"], each["wanted"]) for name, each in found.items()} == {
            "catmaid-a": ("RUNNING", True),
            "catmaid-b": ("RUNNING", True),
            "catmaid-c": ("STOPPED", False),
        }
        assert [path.name for path in existing.include.iterdir()] == ["other.conf"]

    # The other supervisord does not run, which shows only after the files are installed.
    product.configuration.write_text(moving)
    failed = product.procman("install", "--wait", "10", check=False)
    assert failed.returncode == 1
    assert f"supervisord -c {existing.configuration}" in failed.stderr
    assert "Rolled back to generation 1, which is now generation" in failed.stderr
    is_undone()

    existing.start()
    product.configuration.write_text(moving.replace("'1000'", "'no number'", 2).replace("'no number'", "'1000'", 1))
    failed = product.procman("install", "--wait", "10", check=False)
    assert failed.returncode == 1
    assert "invalid time interval" in failed.stderr
    is_undone()
    assert "catmaid" not in existing.ctl("status").stdout

    product.configuration.write_text(moving)
    assert "all programs are healthy" in product.procman("install", "--wait", "60").stdout


def test_failed_adoption_restores_the_adopted_program(existing: ExistingSupervisord) -> None:
    """R4."""
    product = existing.product
    unmanaged = existing.write("conf.d/old.conf", "; a comment\n[program:catmaid-b]\ncommand=sleep 3000\n")
    before = unmanaged.read_bytes()
    existing.start()
    eventually(lambda: "RUNNING" in existing.ctl("status", "catmaid-b").stdout, "the unmanaged program runs")
    text = product.configuration.read_text()
    begin, end = text.index("[worker"), text.index("\n[supervisor]")

    def adopt(**arguments: str) -> subprocess.CompletedProcess[str]:
        tables = "\n".join(f"[command.{name}]\nargv = ['sleep', '{value}']" for name, value in arguments.items())
        product.configuration.write_text(text[:begin] + tables + text[end:])
        replaced = ["--replace", str(unmanaged)] if "b" in arguments else []
        return product.procman("install", "--wait", "8", *replaced, check=False)

    def is_restored() -> None:
        assert unmanaged.read_bytes() == before
        assert product.command_line(existing.pid("catmaid-b")) == "sleep 3000"

    assert adopt(a="1000", b="no number").returncode == 1
    is_restored()
    assert sorted(path.name for path in existing.include.iterdir()) == ["old.conf", "other.conf"]

    assert adopt(a="1000").returncode == 0
    assert adopt(a="1000", b="no number").returncode == 1
    is_restored()
    assert list(product.status()) == ["catmaid-a"]

    assert adopt(a="1000", b="2000").returncode == 0
    assert unmanaged.read_text() == "; a comment\n"
    product.procman("rollback")
    is_restored()


def test_install_without_a_running_supervisord_names_the_remedy_and_is_completed_later(
    existing: ExistingSupervisord,
) -> None:
    product = existing.product
    refused = product.procman("install", check=False)
    assert refused.returncode == 1
    assert f"supervisord -c {existing.configuration}" in refused.stderr
    assert "run the same command again to do the rest" in refused.stderr
    assert "steps left: add catmaid-celery, add catmaid-celery-beat" in product.procman("status", check=False).stdout
    existing.start()
    product.procman("install", "--wait", "60")
    assert "in sync" in product.procman("status").stdout


def test_dead_supervisord_of_the_host_is_reported_with_the_command_that_starts_it(
    existing: ExistingSupervisord,
) -> None:
    product = existing.product
    product.configure('[command.sleep]\nargv = ["/bin/sleep", "1000"]\n')
    as_before = f'mode = "existing"\nconfiguration = "{existing.configuration}"\ninclude = "{existing.include}/*.conf"'
    product.configuration.write_text(product.configuration.read_text().replace('mode = "embedded"', as_before))
    existing.start()
    product.procman("install")
    existing.ctl("shutdown")
    eventually(lambda: existing.ctl("pid").returncode != 0, "supervisord has ended")
    command = f"supervisord -c {existing.configuration}"
    for words in ("install", "start", "restart"):
        done = product.procman(words, check=False)
        assert done.returncode == 1, words
        assert "supervisord is not running" in done.stderr, words
        assert done.stderr.endswith(f"  {command}\n"), words
    assert product.procman("status", check=False).returncode == 3
    assert command in product.procman("health", check=False).stdout
