"""Who runs a command."""

from __future__ import annotations

from procman.accounts import invoking_user


def test_invoking_user_is_the_caller_of_sudo() -> None:
    assert invoking_user({"SUDO_USER": "ann"}) == "ann"
    assert invoking_user({}) != ""
