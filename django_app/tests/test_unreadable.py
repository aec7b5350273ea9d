"""Directories that the web server's user may not read: what they would show is unknown, and they are named."""

import errno
import os
from contextlib import contextmanager
from unittest import mock

from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import SimpleTestCase, TestCase, override_settings
from django.urls import reverse
from procman_django import files, installed, programs, section

from .state import State


class Unreadable:
    """Makes files and directories unreadable, to root too."""

    def setUp(self):
        self.state = State(settings.PROCMAN_STATE_DIRECTORY)
        self.addCleanup(self.state.close)

    @contextmanager
    def unreadable(self, *names):
        path = os.path.realpath(self.state.path(*names))
        real = os.open

        def refuse(*arguments, **named):
            descriptor = real(*arguments, **named)
            if os.readlink("/proc/self/fd/%d" % descriptor) != path:
                return descriptor
            os.close(descriptor)
            raise PermissionError(errno.EACCES, "Permission denied")

        with mock.patch("procman_django.files.os.open", refuse):
            yield path


class UnreadableProjectTest(Unreadable, TestCase):
    """On the page of the programs."""

    def test_project_that_cannot_be_read_is_named_with_the_remedy(self):
        with self.unreadable("") as path:
            for name, sought in ((None, "a project"), ("catmaid", "the project catmaid of the setting")):
                with self.subTest(name), override_settings(PROCMAN_PROJECT=name):
                    project, problem = section.chosen_project()
                    self.assertIsNone(project)
                    self.assertIn("Whether %s" % sought, problem)
                    self.assertIn(
                        "%s cannot be read: Permission denied. Type chmod o+rX %s, or" % (path, path), problem
                    )
                    self.assertNotIn("No project", problem)

    def test_another_project_is_shown_beside_one_that_cannot_be_read(self):
        self.state.write("", "..", "other", "file")
        with self.unreadable("..", "other"):
            self.assertEqual(section.chosen_project()[0].name, "catmaid")

    def test_private_directory_of_procman_is_no_project(self):
        self.state.write("", "..", installed.OF_SUPERVISORD, "file")
        os.unlink(self.state.path("current"))
        with self.unreadable("..", installed.OF_SUPERVISORD):
            self.assertIn("No project is installed", section.chosen_project()[1])

    def test_page_shows_that_a_hold_is_unknown(self):
        user = get_user_model().objects.create_superuser("admin", password="x")
        self.client.force_login(user)
        with self.unreadable_holds() as path:
            page = self.client.get(reverse("admin:procman_django_program_changelist"))
        self.assertContains(page, "whether it is held is unknown", count=4)
        self.assertContains(page, "%s cannot be read: Permission denied" % path, count=1)
        self.assertNotContains(page, "(held)")

    def unreadable_holds(self):
        self.state.write({"until": None}, "holds", "another.json")
        return self.unreadable("holds")


class UnreadableFilesTest(Unreadable, SimpleTestCase):
    """Of a project that can be read."""

    def view(self):
        [project], _ = installed.installed_projects([self.state.place])
        return programs.view_of(project)

    def test_program_that_may_have_been_stopped_on_purpose_is_unknown(self):
        self.state.heartbeat("catmaid-celery", pid=2**22 - 1)
        self.state.write({}, "desired", "catmaid-celery.json")
        with self.unreadable("desired") as path:
            view = self.view()
        found = view.programs[0]
        self.assertEqual((found.state, found.health.level), ("UNKNOWN", "UNKNOWN"))
        self.assertIn("whether it was stopped on purpose is unknown: %s cannot be read" % path, found.health.reason)
        self.assertEqual(view.programs[1].state, "RUNNING")
        self.assertEqual(len([each for each in view.problems if path in each]), 1)

    def test_program_without_a_readable_heartbeat_is_unknown(self):
        with self.unreadable("run", "catmaid-celery") as path:
            health = self.view().programs[0].health
        self.assertEqual(health.level, "UNKNOWN")
        self.assertIn("%s cannot be read: Permission denied. Type chmod o+rX %s" % (path, path), health.reason)

    def test_nothing_is_typed_about_a_file_that_a_programs_user_could_replace(self):
        with self.unreadable("run", "catmaid-celery", "heartbeat.json"):
            reason = self.view().programs[0].health.reason
        self.assertIn("heartbeat.json cannot be read: Permission denied", reason)
        self.assertNotIn("chmod", reason)

    def test_path_is_quoted(self):
        path = os.path.join(self.state.place, "a b;c")
        os.mkdir(path)
        error = files._unreadable(path, (), PermissionError(13, "Permission denied"))
        self.assertIn("chmod o+rX '%s'" % path, str(error))
