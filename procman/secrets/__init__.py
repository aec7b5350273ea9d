"""Recognise secrets, which must not be in a file that other users can read, and hide them in output (S2)."""

from procman.secrets.command_line import can_be_shown, masked_command, words_hold_password
from procman.secrets.known import KnownSecrets, known_secrets
from procman.secrets.recognise import holds_password, is_secret, is_secret_name, masked, values_of

__all__ = [
    "KnownSecrets",
    "can_be_shown",
    "holds_password",
    "is_secret",
    "is_secret_name",
    "known_secrets",
    "masked",
    "masked_command",
    "values_of",
    "words_hold_password",
]
