"""The content of a file of secrets, which root reads as another user."""

from __future__ import annotations

import os
import pwd

import pytest

from procman.config.private_file import private_content
from tests.reachable import SOMEBODY, public_directory


@pytest.mark.root("only root reads as another user")
def test_content_that_is_not_utf8_is_unchanged() -> None:
    with public_directory() as directory:
        file = directory / ".env"
        file.write_bytes(b"NAME=caf\xe9\n")
        os.chown(directory, pwd.getpwnam(SOMEBODY).pw_uid, -1)
        assert private_content(file, SOMEBODY) == b"NAME=caf\xe9\n"
