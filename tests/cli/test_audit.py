"""Who did it, as the audit log has it."""

from __future__ import annotations

import getpass
import os

import pytest

from cli.audit import whoami


def test_who_runs_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's name."""
    monkeypatch.setenv("LOGNAME", "ada")
    assert whoami() == "ada"


@pytest.mark.parametrize("error", [KeyError, OSError])
def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """As in the image, whose user is in no list: operators' commands work there."""

    def nobody() -> str:
        raise error("uid not found: 10001")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert whoami() == f"uid {os.getuid()}"
