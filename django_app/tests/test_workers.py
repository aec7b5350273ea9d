"""The answers of the workers on their page."""

from unittest import mock

from procman_django import celery_app

from .pages import TASK, WORKER, PagesTest, address


class WorkersTest(PagesTest):
    """The answers of the workers, and what a user sees of them."""

    def answers(self):
        with mock.patch("procman_django.workers.ask_workers", return_value=[WORKER]):
            return self.client.get(address("worker", "answers"))

    def test_page_itself_asks_no_worker(self):
        self.user("view_program")
        with mock.patch("procman_django.workers.ask_workers", side_effect=AssertionError):
            self.assertContains(self.client.get(address("worker")), "data-procman-answers")

    def test_task_that_began_at_no_time_of_the_calendar_is_shown(self):
        self.user("view_program")
        worker = WORKER._replace(active=[TASK._replace(started=1e14)])
        with mock.patch("procman_django.workers.ask_workers", return_value=[worker]):
            self.assertContains(self.client.get(address("worker", "answers")), "3f1c")

    def test_without_javascript_a_link_asks(self):
        self.user("view_program")
        self.assertContains(self.client.get(address("worker")), 'href="?ask=1"')
        with mock.patch("procman_django.workers.ask_workers", return_value=[WORKER]):
            self.assertContains(self.client.get(address("worker") + "?ask=1"), "crop@host")

    def test_answers_are_escaped(self):
        self.user("view_program", "control_program", "view_task_arguments")
        page = self.answers().content.decode()
        self.assertNotIn("<script>", page)
        self.assertIn("&lt;script&gt;", page)
        self.assertNotIn("INVALID", page)

    def test_arguments_and_orders_need_permissions_of_their_own(self):
        self.user("view_program")
        self.assertNotContains(self.answers(), "secret")
        self.assertNotContains(self.answers(), "<form")
        self.user("view_program", "view_task_arguments", name="reader")
        self.assertContains(self.answers(), "secret")
        self.assertNotContains(self.answers(), "<form")
        self.user("view_program", "control_program", name="operator")
        self.assertNotContains(self.answers(), "secret")
        self.assertContains(self.answers(), 'value="terminate"')

    def test_broker_that_does_not_answer_is_named(self):
        self.user("view_program")
        with mock.patch("procman_django.workers.ask_workers", side_effect=celery_app.NoAnswer("OperationalError")):
            self.assertContains(
                self.client.get(address("worker", "answers")), "The broker does not answer: OperationalError"
            )
