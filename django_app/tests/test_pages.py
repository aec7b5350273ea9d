"""The pages of the admin: who sees what."""

import os
import re
from unittest import mock

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.test import override_settings
from django.urls import reverse
from procman_django import celery_app, queues

from .pages import ATTACK, WORKER, PagesTest, address
from .state import State


class LookingTest(PagesTest):
    """The pages as they are shown."""

    def test_section_has_three_pages_and_nothing_else(self):
        self.user("view_program")
        index = self.client.get(reverse("admin:index"))
        self.assertContains(index, "Celery")
        shown = [address(model) for model in ("program", "worker", "queue")]
        for each in shown:
            self.assertContains(index, 'href="%s"' % each)
            self.assertEqual(self.client.get(each).status_code, 200)
        self.assertNotContains(index, "/program/add/")

    def test_programs_are_shown_without_any_broker(self):
        self.user("view_program")
        with mock.patch("procman_django.celery_app.ask", side_effect=AssertionError):
            page = self.client.get(address("program"))
        for text in ("catmaid-celery", "it is consuming", "catmaid.crop", "cleanup-cropped-stacks", "restarted"):
            self.assertContains(page, text)
        self.assertNotContains(page, "INVALID")

    def test_user_without_permission_sees_nothing(self):
        self.user()
        self.assertNotContains(self.client.get(reverse("admin:index")), "Celery")
        for model, what in (
            ("program", "changelist"),
            ("worker", "changelist"),
            ("worker", "answers"),
            ("queue", "answers"),
        ):
            self.assertEqual(self.client.get(address(model, what)).status_code, 403)

    def test_permission_to_control_alone_shows_and_orders_nothing(self):
        self.user("control_program", "view_task_arguments")
        self.assertNotContains(self.client.get(reverse("admin:index")), "Celery")
        for model in ("program", "worker", "queue"):
            self.assertContains(self.client.get(address(model)), "403 Forbidden", status_code=403)
        answer, sent = self.order(order="revoke", task_id="3f1c")
        self.assertEqual((answer.status_code, sent, LogEntry.objects.count()), (403, [], 0))

    def test_visitor_is_asked_to_log_in(self):
        for model in ("program", "worker", "queue"):
            self.assertEqual(self.client.get(address(model)).status_code, 302)
        self.assertEqual(self.client.post(address("worker", "order")).status_code, 302)

    def test_texts_of_others_are_escaped(self):
        self.state.heartbeat(
            "catmaid-celery", **{**self.state.busy(), "tasks": [{"id": ATTACK, "name": ATTACK, "since": 1}]}
        )
        self.user("view_program")
        page = self.client.get(address("program")).content.decode()
        self.assertNotIn("<script>alert", page)
        self.assertIn("&lt;script&gt;alert", page)

    def test_pages_load_nothing_from_elsewhere_and_have_no_inline_script(self):
        self.user("view_program")
        for model in ("program", "worker", "queue"):
            page = self.client.get(address(model)).content.decode()
            self.assertNotRegex(page, r'(?:src|href)="(?:https?:)?//')
            ours = page[page.index('class="procman"') :]
            self.assertNotRegex(ours, r"<script|<style|\son\w+=|style=")

    def test_times_that_no_calendar_has_are_unknown(self):
        self.user("view_program")
        for far in (-1e14, 1e14, 253402300799):
            with self.subTest(far), override_settings(TIME_ZONE="Asia/Tokyo"):
                self.state.heartbeat("catmaid-celery", started=-far)
                entries = [{"name": "cleanup", "due": far}]
                self.state.heartbeat("catmaid-celery-beat", kind="beat", next_entries=entries)
                self.assertContains(self.client.get(address("program")), "unknown")

    def test_times_are_those_of_the_project_without_use_tz_too(self):
        self.user("view_program")
        for use_tz in (True, False):
            with self.subTest(use_tz), override_settings(USE_TZ=use_tz, TIME_ZONE="Asia/Tokyo"):
                self.assertContains(self.client.get(address("program")), "JST")

    def test_every_page_shows_when_it_was_made_and_every_time_has_its_zone(self):
        self.user("view_program")
        time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
        with override_settings(TIME_ZONE="Asia/Tokyo"):
            with mock.patch("procman_django.workers.ask_workers", return_value=[WORKER]):
                for model, what, times in (
                    ("program", "changelist", 5),
                    ("worker", "answers", 2),
                    ("queue", "changelist", 1),
                    ("queue", "answers", 1),
                ):
                    with self.subTest(model=model, what=what):
                        page = self.client.get(address(model, what)).content.decode()
                        self.assertRegex(page, "As of %s JST" % time)
                        self.assertEqual(len(re.findall(time, page)), times)
                        self.assertEqual(len(re.findall(time + " JST", page)), times)

    def test_directory_whose_name_no_page_can_show_is_no_project(self):
        self.user("view_program")
        os.rename(self.state.directory, os.fsencode(self.state.place) + b"/\xff")
        self.assertContains(self.client.get(address("program")), "No project is installed")

    def test_pages_are_shown_although_the_setting_names_no_app(self):
        self.user("view_program")
        with override_settings(PROCMAN_CELERY_APP="no.such:app"):
            for model in ("worker", "queue"):
                self.assertEqual(self.client.get(address(model)).status_code, 200)
                page = self.client.get(address(model, "answers"))
                self.assertContains(page, "PROCMAN_CELERY_APP names no Celery app: ModuleNotFoundError")

    def test_no_project_and_several_projects_are_explained(self):
        self.user("view_program")
        State(settings.PROCMAN_STATE_DIRECTORY)
        second = State(settings.PROCMAN_STATE_DIRECTORY + "-2", "second")
        self.addCleanup(second.close)
        with override_settings(PROCMAN_STATE_DIRECTORY="/nowhere"):
            page = self.client.get(address("program"))
        self.assertContains(page, "No project is installed in /nowhere, as far as the user of this web server (")
        self.assertContains(page, "another user has installed in user scope")
        with override_settings(PROCMAN_STATE_DIRECTORY="/nowhere"):
            self.assertContains(self.client.get(address("queue")), "No project is installed in /nowhere")
        with override_settings(PROCMAN_PROJECT="third"):
            page = self.client.get(address("program"))
        self.assertContains(page, "The project third of the setting PROCMAN_PROJECT is not installed in")
        self.assertContains(page, "There are: catmaid.")
        os.rename(second.directory, self.state.path("..", "second"))
        page = self.client.get(address("program"))
        self.assertContains(page, "PROCMAN_PROJECT")
        self.assertNotContains(page, "procman install")
        with override_settings(PROCMAN_PROJECT="second"):
            self.assertContains(self.client.get(address("program")), "catmaid-celery-beat")

    def test_projects_with_one_name_are_told_apart_by_their_directory(self):
        self.user("view_program")
        place, other = settings.PROCMAN_STATE_DIRECTORY, settings.PROCMAN_STATE_DIRECTORY + "-2"
        self.addCleanup(State(other).close)
        with mock.patch("procman_django.installed.places", return_value=(place, other)):
            for name in (None, "catmaid"):
                with self.subTest(name), override_settings(PROCMAN_PROJECT=name):
                    page = self.client.get(address("program"))
                    self.assertContains(page, "catmaid in %s, catmaid in %s" % (place, other))
                    self.assertContains(page, "Set PROCMAN_STATE_DIRECTORY")


class QueuesTest(PagesTest):
    """The queues, from heartbeats and from the broker."""

    def test_page_shows_the_heartbeats_while_the_broker_is_down(self):
        self.user("view_program")
        self.assertContains(self.client.get(address("queue")), ">3<")
        with mock.patch("procman_django.queues.ask_queues", side_effect=celery_app.NoAnswer("OperationalError")):
            page = self.client.get(address("queue", "answers"))
        self.assertContains(page, "The broker does not answer: OperationalError")
        self.assertContains(page, ">3<")

    def test_answers_of_the_broker_replace_those_of_the_heartbeats(self):
        self.user("view_program")
        found = [queues.Queue("crop", 7, 2, 5)]
        with mock.patch("procman_django.queues.ask_queues", return_value=found):
            page = self.client.get(address("queue", "answers"))
        for text in (">7<", ">2<", ">5<", "catmaid-celery", "broker"):
            self.assertContains(page, text)

    def test_memory_broker_is_asked_for_real(self):
        self.user("view_program")
        page = self.client.get(address("queue", "answers"))
        self.assertContains(page, "no such queue")
        self.assertNotContains(page, "INVALID")
        self.assertContains(self.client.get(address("worker", "answers")), "No worker answered")
