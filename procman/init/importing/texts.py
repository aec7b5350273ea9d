"""Read the files that an existing program reads, each once, and as root only what no other user can replace (S3)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from procman.accounts import user_name
from procman.celery_cli.script_file import text_of
from procman.config.private_file import private_content
from procman.config.trust import trust_problems
from procman.errors import ProcmanError


@dataclass
class Texts:
    """The files that a script reads, each read once."""

    user: str | None
    sees_files: bool = True
    found: dict[Path, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of_owner(cls, directory: Path) -> Texts:
        """Return the files in `directory`, which root reads as its owner."""
        owner = directory.stat().st_uid
        return cls(user_name(owner) if owner else None)

    def read(self, path: Path) -> str:
        """Return the content of `path`; empty if it cannot be read, or root should not read it (S3)."""
        if path not in self.found:
            self.found[path] = self._content(path) if self.sees_files else ""
        return self.found[path]

    def _content(self, path: Path) -> str:
        if os.geteuid() == 0 and trust_problems(path, {0}):
            if self.user is None or not path.is_file():
                return ""
            try:
                return private_content(path, self.user).decode("utf-8", "surrogateescape")
            except (OSError, ProcmanError):
                return ""
        return text_of(path)
