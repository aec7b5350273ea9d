"""What procman's files show, whatever is in them."""

import json
import os
import time
from unittest import mock

from django.conf import settings
from django.test import SimpleTestCase
from procman_django import files, installed, processes, programs

from .state import State


class ProgramsTest(SimpleTestCase):
    """The programs of an installed project."""

    def setUp(self):
        self.state = State(settings.PROCMAN_STATE_DIRECTORY)
        self.addCleanup(self.state.close)

    def view(self):
        [project], _ = installed.installed_projects([self.state.place])
        return programs.view_of(project)

    def worker(self):
        return self.view().programs[0]

    def test_running_worker_is_shown_with_all_that_its_heartbeat_has(self):
        found = self.worker()
        self.assertEqual((found.name, found.state, found.health.level), ("catmaid-celery", "RUNNING", "OK"))
        self.assertEqual((found.queued, found.busy, found.slots, found.restarts), (3, 1, 2, 0))
        self.assertEqual(
            [(task.id, task.name, int(task.seconds)) for task in found.tasks], [("3f1c", "catmaid.crop", 70)]
        )
        self.assertGreater(found.memory, 1024**2)
        self.assertLess(abs(found.since - (time.time() - 100)), 5)

    def test_next_entries_of_beat_are_shown_by_the_wall_clock(self):
        [entry] = self.view().programs[1].entries
        self.assertEqual(entry.name, "cleanup-cropped-stacks")
        self.assertLess(abs(entry.at - (time.time() + 600)), 5)

    def test_fields_that_an_older_procman_does_not_write_are_unknown(self):
        self.state.heartbeat("catmaid-celery", verdict=None)
        found = self.worker()
        self.assertEqual((found.state, found.health.level), ("RUNNING", "UNKNOWN"))
        self.assertEqual((found.queued, found.busy, found.slots, found.node_name), (None, None, None, None))

    def test_verdict_comes_with_a_remedy(self):
        verdict = {"level": "CRITICAL", "code": "PM301", "reason": "messages have been waiting", "remedy": "warm"}
        self.state.heartbeat("catmaid-celery", verdict=verdict)
        health = self.worker().health
        self.assertEqual((health.level, health.reason), ("CRITICAL", "messages have been waiting"))
        self.assertIn("procman restart catmaid-celery", health.remedy)

    def test_program_whose_process_is_gone_has_exited(self):
        self.state.heartbeat("catmaid-celery", pid=2**22 - 1, written=time.monotonic() - 300)
        found = self.worker()
        self.assertEqual((found.state, found.health.level, found.health.code), ("EXITED", "CRITICAL", "PM101"))
        self.assertEqual((found.tasks, found.busy, found.memory), ([], None, None))

    def test_later_process_with_the_same_pid_is_not_taken_for_the_program(self):
        self.state.heartbeat("catmaid-celery", written=time.monotonic() - 10**6)
        self.assertEqual(self.worker().state, "EXITED")

    def test_heartbeat_of_an_earlier_boot_is_out_of_date(self):
        self.state.heartbeat("catmaid-celery", boot_id="of-an-earlier-boot")
        os.utime(self.state.path("run", "catmaid-celery", "heartbeat.json"), (time.time() - 3600,) * 2)
        self.assertEqual((self.worker().state, self.worker().health.level), ("EXITED", "CRITICAL"))

    def test_heartbeat_from_a_sandbox_with_another_id_of_the_boot_is_that_of_now(self):
        for boot in ("of-a-container", None):
            with self.subTest(boot):
                self.state.heartbeat("catmaid-celery", boot_id=boot)
                self.assertEqual((self.worker().state, self.worker().health.level), ("RUNNING", "OK"))

    def test_old_heartbeat_of_a_living_process_may_be_that_of_a_frozen_one(self):
        self.state.heartbeat("catmaid-celery", written=time.monotonic() - 31, wall=time.time() - 31)
        # This process itself may be younger than that.
        with mock.patch("procman_django.processes.is_the_writer", return_value=True):
            self.assertIn("may be frozen", self.worker().health.reason)

    def test_program_that_was_stopped_on_purpose_is_no_problem(self):
        self.state.heartbeat("catmaid-celery", pid=2**22 - 1)
        order = {
            "format": 1,
            "program": "catmaid-celery",
            "desired": False,
            "by": "alice",
            "boot_id": processes.boot_id(),
        }
        self.state.write(order, "desired", "catmaid-celery.json")
        found = self.worker()
        self.assertEqual((found.state, found.health.level), ("STOPPED", "OK"))
        self.assertEqual(found.health.reason, "it was stopped by alice")

    def test_watcher_runs_as_long_as_it_checks(self):
        def found(seconds):
            self.state.checked(seconds)
            return self.view().programs[3]

        for seconds in (0, 31, 170):
            with self.subTest(seconds):
                self.assertEqual((found(seconds).state, found(seconds).health.level), ("RUNNING", "OK"))
        self.assertIn("it checked the programs 31s ago", found(31).health.reason)
        for seconds in (190, 86400):
            with self.subTest(seconds):
                dead = found(seconds)
                self.assertEqual((dead.state, dead.health.level, dead.health.code), ("UNKNOWN", "CRITICAL", "PM101"))
        self.assertIn("last 1d ago, but a check is due every 30s", found(86400).health.reason)
        self.state.write(self.state.manifest(health={"interval_seconds": 600}), "generations", "1", "manifest.json")
        self.assertEqual(found(1000).health.level, "OK")
        self.assertEqual(found(1400).health.level, "CRITICAL")
        os.unlink(self.state.path("healing.json"))
        self.assertEqual(self.view().programs[3].health.reason, "it has not checked anything yet")

    def test_watcher_that_was_stopped_on_purpose_is_no_problem(self):
        order = {"program": "catmaid-health", "desired": False, "by": "alice", "boot_id": processes.boot_id()}
        for stopped, checked, state in ((600, 610, "STOPPED"), (3, 5, "STOPPED"), (600, 5, "RUNNING")):
            with self.subTest(stopped=stopped, checked=checked):
                self.state.write({**order, "at": time.time() - stopped}, "desired", "catmaid-health.json")
                self.state.checked(checked)
                watcher = self.view().programs[3]
                self.assertEqual((watcher.state, watcher.health.level), (state, "OK"))

    def restarts(self, *events, inside=()):
        """Return the restarts that are shown if these events happen one after the other."""
        now = time.time() - 60
        about = [{"program": "catmaid-celery", "by": "healer", "at": now + place, **each} for place, each in events]
        self.state.events(None, *about)
        self.state.events("catmaid-celery", *[{"at": now + place, **each} for place, each in inside])
        with mock.patch("procman_django.processes.booted_at", return_value=now):
            return self.worker().restarts

    def test_restarts_are_those_that_status_counts(self):
        ended = {"what": "ended", "code": "PM111", "level": "WARNING"}
        stop = {"what": "healing", "action": "sent SIGTERM for a graceful restart"}
        kill = {"what": "healing", "action": "sent SIGKILL: it did not react to SIGTERM"}
        itself = {"what": "healing", "action": "stops itself gracefully"}
        for name, count, events in (
            ("its process was killed twice", 2, [ended, ended]),
            ("pool processes ended", 0, [{**ended, "code": "PM112"}] * 3),
            ("it was killed at its stop timeout", 0, [{**ended, "code": "", "level": ""}]),
            ("it was healed", 1, [stop, {"what": "healed"}]),
            ("it was healed by SIGKILL", 1, [stop, kill, {"what": "healed"}]),
            ("it was healed again and again", 2, [stop, kill, stop, kill]),
            ("a stop that hung was forced", 0, [kill]),
            ("healing started it after its process manager gave up", 1, [{**stop, "action": "started it again"}]),
            ("healing has given up", 1, [stop, {"what": "gave-up"}]),
            ("another program ended", 0, [{**ended, "program": "catmaid-celery-beat"}]),
            *[
                ("it was %s" % order, 1, [ended, stop, {"what": order, "by": "alice"}, ended])
                for order in ("started", "stopped", "restarted", "installed", "rolled back")
            ],
            ("another program was restarted", 1, [ended, {"what": "restarted", "program": "catmaid-celery-beat"}]),
            ("a project was installed without a change to it", 1, [ended, {"what": "installed", "program": ""}]),
            ("it was reloaded", 1, [ended, {"what": "reloaded", "by": "alice"}]),
            ("the host was booted", 0, [(-9, ended)]),
        ):
            with self.subTest(name):
                placed = [each if isinstance(each, tuple) else (place, each) for place, each in enumerate(events)]
                self.assertEqual(self.restarts(*placed), count)
        self.assertEqual(self.restarts(inside=[(1, itself), (2, {"what": "healed"})]), 1)
        self.assertEqual(self.restarts((3, kill), inside=[(1, itself)]), 1)
        self.assertEqual(self.restarts((1, ended), inside=[(2, ended), (3, {"what": "restarted"})]), 1)

    def test_restarts_are_unknown_without_a_watcher(self):
        manifest = self.state.manifest()
        manifest["programs"].pop()
        self.state.write(manifest, "generations", "1", "manifest.json")
        self.assertIsNone(self.worker().restarts)

    def test_finding_of_the_watcher_counts_until_it_has_recovered(self):
        found = {"program": "catmaid-celery", "what": "found", "code": "PM112", "level": "WARNING", "reason": "killed"}
        self.state.events(None, {**found, "at": time.time() - 9})
        self.assertEqual((self.worker().health.level, self.worker().health.code), ("WARNING", "PM112"))
        ended = {"program": "catmaid-celery", "what": "recovered", "at": time.time() - 5}
        self.state.events(None, {**found, "at": time.time() - 9}, ended)
        self.assertEqual(self.worker().health.level, "OK")

    def test_finding_of_the_watcher_ends_with_its_healing(self):
        about = {"program": "catmaid-celery", "code": "PM301", "level": "CRITICAL", "by": "healer"}
        now = time.time()
        # A program that the watcher has restarted gets no event "recovered".
        events = [{**about, "what": what, "at": now - 9 + place} for place, what in enumerate(("found", "healing"))]
        self.state.events(None, *events)
        self.assertEqual(self.worker().health.level, "CRITICAL")
        self.state.events(None, *events, {**about, "what": "healed", "code": "", "level": "OK", "at": now - 5})
        self.assertEqual(self.worker().health.level, "OK")

    def test_program_writes_events_about_itself_alone(self):
        self.state.events("catmaid-celery", {"at": 1, "program": "catmaid-celery-beat", "what": "ended", "by": "root"})
        [event] = [each for each in self.view().events if each.at == 1]
        self.assertEqual((event.program, event.by), ("catmaid-celery", "inside"))

    def test_events_of_a_program_are_not_newer_than_now(self):
        self.state.events("catmaid-celery", {"at": 2**33 - 1, "what": "ended"})
        self.assertLessEqual(self.view().events[0].at, time.time())

    def test_hold_is_shown(self):
        self.state.write({"until": None}, "holds", "catmaid-celery.json")
        self.assertTrue(self.worker().held)
        self.state.write({"until": time.time() - 1}, "holds", "catmaid-celery.json")
        self.assertFalse(self.worker().held)


class UntrustedFilesTest(SimpleTestCase):
    """A program's user can put anything into the files that the page reads."""

    def setUp(self):
        self.state = State(settings.PROCMAN_STATE_DIRECTORY)
        self.addCleanup(self.state.close)
        self.path = self.state.path("run", "catmaid-celery", "heartbeat.json")

    def health(self):
        [project], _ = installed.installed_projects([self.state.place])
        return programs.view_of(project).programs[0].health

    def replaced(self, make):
        os.unlink(self.path)
        make(self.path)
        return self.health()

    def test_link_is_not_followed(self):
        secret = self.state.path("secret")
        os.rename(self.path, secret)
        os.symlink(secret, self.path)
        self.assertEqual(self.health().code, "PM205")

    def test_directory_that_is_a_link_is_not_followed(self):
        directory = os.path.dirname(self.path)
        os.rename(directory, directory + "-elsewhere")
        os.symlink(directory + "-elsewhere", directory)
        self.assertEqual(self.health().code, "PM205")

    def test_pipe_does_not_block(self):
        self.assertIn("not a regular file", self.replaced(os.mkfifo).reason)

    def test_huge_file_is_read_in_part_and_refused(self):
        os.truncate(self.path, 10**12)
        self.assertIn("too long", self.health().reason)

    def test_nonsense_is_unknown(self):
        deep = "[" * 30000
        for text in ("", "null", "[]", "{", deep, '{"format": 1e999}', '{"format": NaN}', '{"format": 2}', "\x00"):
            with self.subTest(text[:20]):
                self.state.write(text, "run", "catmaid-celery", "heartbeat.json")
                self.assertEqual(self.health().level, "UNKNOWN")

    def test_every_value_of_a_wrong_type_is_unknown(self):
        with open(self.path, encoding="utf-8") as file:
            fields = json.load(file)
        for name in fields:
            for value in (None, True, -1, 10**30, "x", [1], {"a": 1}, [[]], [{}]):
                with self.subTest(name=name, value=value):
                    changed = dict(fields)
                    changed[name] = value
                    self.state.write(changed, "run", "catmaid-celery", "heartbeat.json")
                    self.health()

    def test_names_lead_nowhere_else(self):
        for name in ("..", ".", "", "a/b", "/etc", "a\0b"):
            with self.subTest(name), self.assertRaises(files.Unreadable):
                files.read(self.state.place, (name, "passwd"), 10)

    def test_manifest_with_nonsense_is_a_problem_of_its_project_alone(self):
        self.state.write('{"format": 7}', "generations", "1", "manifest.json")
        [project], problems = installed.installed_projects([self.state.place])
        self.assertIn("newer procman", project.problem)
        self.state.write(
            {"format": 1, "programs": [1, {"name": "../x", "kind": "worker"}, {}]}, "generations", "1", "manifest.json"
        )
        [project], problems = installed.installed_projects([self.state.place])
        self.assertEqual((project.programs, problems), ((), []))

    def test_link_of_the_current_generation_leads_to_generations_alone(self):
        os.unlink(self.state.path("current"))
        os.symlink("../../etc", self.state.path("current"))
        self.assertEqual(installed.installed_projects([self.state.place]), ([], []))
