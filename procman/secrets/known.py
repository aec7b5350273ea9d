"""The secrets of a project, by value: what its errors and its logs may quote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from procman.secrets.recognise import masked, values_of


@dataclass(frozen=True)
class KnownSecrets:
    """Texts that must not be shown."""

    values: tuple[str, ...] = ()
    """The longest first."""

    def masked(self, text: str) -> str:
        """Return `text` with `***` for each known secret, and for whatever looks like one."""
        return masked(text, self.values)


def known_secrets(private: Mapping[str, str], environment: Mapping[str, str]) -> KnownSecrets:
    """Return the secrets of a program with the variables `private`, from its environment file, and `environment`.

    Of `environment`, only what `is_secret` recognises counts. Of `private`, so does everything else of eight or more
    characters that is no path, number, host, module, locale or single word.
    """
    return KnownSecrets(values_of(private, private=True) + values_of(environment))
