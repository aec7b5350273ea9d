"""The system checks, each with settings that have the problem."""

import io
import os
import subprocess
import sys
import tempfile
from unittest import mock

from celery import Celery
from django.conf import settings
from django.core import checks
from django.core.management import call_command
from django.test import SimpleTestCase, override_settings
from django.utils.functional import SimpleLazyObject
from procman_django.management.commands import procman

from .state import State


def found(url, **conf):
    app = Celery("checked", broker=url, set_as_current=False, fixups=[])
    app.conf.update(conf)
    with mock.patch("procman_django.celery_app.find_app", return_value=app):
        return sorted(each.id.rpartition(".")[2] for each in checks.run_checks(tags=["celery"]))


AMQP = "amqp://catmaid:secret@broker//catmaid"
REDIS = "redis://broker/0"


class ChecksTest(SimpleTestCase):
    """Problems of the Celery settings."""

    def setUp(self):
        self.state = State(settings.PROCMAN_STATE_DIRECTORY)
        self.addCleanup(self.state.close)

    def test_good_settings_have_no_problem(self):
        self.assertEqual(found(AMQP), [])
        self.assertEqual(found(REDIS, broker_transport_options={"visibility_timeout": 7200}, task_time_limit=3600), [])

    def test_visibility_timeout_below_the_time_limit(self):
        self.assertEqual(found(REDIS, task_time_limit=7200), ["W001"])

    def test_default_visibility_timeout_with_eta_tasks_seen(self):
        self.state.heartbeat("catmaid-celery", scheduled=2)
        self.assertEqual(found(REDIS), ["W002"])
        self.assertEqual(found(AMQP), [])

    def test_always_eager(self):
        self.assertEqual(found(AMQP, task_always_eager=True), ["W003"])

    def test_pickle(self):
        self.assertEqual(found(AMQP, accept_content=["json", "pickle"]), ["W004"])
        self.assertEqual(found(AMQP, task_serializer="pickle"), ["W004"])

    def test_quorum_queues_without_what_they_need(self):
        from kombu import Queue

        queue = Queue("crop", queue_arguments={"x-queue-type": "quorum"})
        self.assertEqual(found(AMQP, task_queues=[queue])[0], "W005" if _is_old() else "W006")
        options = {"confirm_publish": True}
        expected = ["W005"] if _is_old() else []
        self.assertEqual(found(AMQP, task_queues=[queue], broker_transport_options=options), expected)

    def test_default_broker_url_in_production(self):
        self.assertEqual(found(None), ["W007"])
        self.assertEqual(found("amqp://guest:guest@localhost:5672//"), ["W007"])
        with override_settings(DEBUG=True):
            self.assertEqual(found(None), [])

    def test_debug_silences_the_check_of_the_broker_url_alone(self):
        conf = {"accept_content": ["pickle"], "task_time_limit": 7200}
        for debug, expected in ((False, ["W001", "W004"]), (True, ["W001", "W004"])):
            with self.subTest(debug), override_settings(DEBUG=debug):
                self.assertEqual(found(REDIS, **conf), expected)
                self.assertEqual(found(None), [] if debug else ["W007"])

    def test_setting_that_names_no_app_is_an_error_of_its_own(self):
        for name in ("no.such:app", ":app", ".celery:app", "tests.celery:nothing", "tests.settings:DEBUG", 5):
            with self.subTest(name), override_settings(PROCMAN_CELERY_APP=name):
                self.assertEqual([each.id for each in checks.run_checks(tags=["celery"])], ["procman_django.E001"])

    def test_settings_as_celery_takes_them_too(self):
        quorum = {"crop": {"exchange": "crop", "queue_arguments": {"x-queue-type": "quorum"}}}
        self.assertEqual(found(AMQP, task_queues=quorum)[0], "W005" if _is_old() else "W006")
        for conf in (
            {"task_queues": None},
            {"task_queues": {"crop": {"exchange": "crop"}}},
            {"broker_transport_options": None},
            {"broker_write_url": [AMQP, AMQP]},
            {"broker_write_url": SimpleLazyObject(lambda: AMQP)},
            {"accept_content": None},
        ):
            with self.subTest(conf):
                self.assertEqual(found(AMQP, **conf), [])

    def test_settings_that_celery_refuses_end_no_command(self):
        for url, conf in (
            (REDIS, {"broker_transport_options": {"visibility_timeout": "60"}, "task_time_limit": 7200}),
            (REDIS, {"broker_transport_options": "x"}),
            (AMQP, {"accept_content": [["json"]]}),
            (AMQP, {"task_queues": 5}),
            (AMQP, {"task_queues": ["crop"]}),
            (AMQP, {"broker_write_url": 5}),
        ):
            with self.subTest(conf):
                self.assertEqual(set(found(url, **conf)), {"W008"})


class MigrationsTest(SimpleTestCase):
    """The migration is complete."""

    databases = ("default",)

    def test_nothing_is_missing(self):
        call_command("makemigrations", "procman_django", "--check", "--dry-run", verbosity=0)

    def test_project_can_be_dumped_although_there_is_no_table(self):
        for use_base_manager in (False, True):
            with self.subTest(use_base_manager):
                dumped = io.StringIO()
                call_command("dumpdata", "procman_django", use_base_manager=use_base_manager, stdout=dumped)
                self.assertEqual(dumped.getvalue().strip(), "[]")


class CommandTest(SimpleTestCase):
    """manage.py procman."""

    def test_words_are_passed_on_without_a_shell(self):
        with mock.patch("os.execv") as execv, override_settings(PROCMAN_COMMAND="/bin/echo"):
            procman.Command().run_from_argv(["manage.py", "procman", "status", "--json", "$(id)"])
        path, words = execv.call_args[0]
        self.assertEqual((path, words), ("/bin/echo", ["/bin/echo", "status", "--json", "$(id)"]))

    def test_first_dashes_are_left_out(self):
        with mock.patch("os.execv") as execv, override_settings(PROCMAN_COMMAND="/bin/echo"):
            procman.Command().run_from_argv(["manage.py", "procman", "--", "--help", "--"])
        self.assertEqual(execv.call_args[0][1], ["/bin/echo", "--help", "--"])

    def test_options_dashes_and_the_exit_status_are_those_of_the_command(self):
        with tempfile.TemporaryDirectory() as directory:
            script = os.path.join(directory, "procman")
            with open(script, "w", encoding="utf-8") as file:
                file.write('#!/bin/sh\nprintf "<%s>" "$@"\nexit 7\n')
            os.chmod(script, 0o755)
            words = ["-v", "--help", "--", "a b", "$(id)", "", "--force-color"]
            environment = {**os.environ, "PATH": directory, "DJANGO_SETTINGS_MODULE": "tests.settings"}
            done = subprocess.run(
                [sys.executable, "-m", "django", "procman", *words],
                env=environment,
                stdout=subprocess.PIPE,
                check=False,
                timeout=240,
            )
        self.assertEqual((done.returncode, done.stdout.decode()), (7, "".join("<%s>" % word for word in words)))

    def test_command_that_cannot_be_run_is_reported(self):
        with tempfile.TemporaryDirectory() as directory:
            script = os.path.join(directory, "procman")
            with open(script, "w", encoding="utf-8") as file:
                file.write("#!/no/such/python\n")
            os.chmod(script, 0o755)
            command = procman.Command(stderr=io.StringIO())
            with override_settings(PROCMAN_COMMAND=script), self.assertRaises(SystemExit) as raised:
                command.run_from_argv(["manage.py", "procman", "status"])
        self.assertEqual(raised.exception.code, 1)
        self.assertIn("cannot be run: No such file or directory", command.stderr.getvalue())

    def test_missing_command_is_reported(self):
        command = procman.Command(stderr=io.StringIO())
        with override_settings(PROCMAN_COMMAND="/no/such/procman"), self.assertRaises(SystemExit):
            command.run_from_argv(["manage.py", "procman", "status"])
        self.assertIn("No procman command is installed. To install it, type", command.stderr.getvalue())


def _is_old():
    import celery

    return tuple(int(each) for each in celery.__version__.split(".")[:2]) < (5, 5)
