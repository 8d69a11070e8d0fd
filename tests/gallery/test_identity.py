"""Principals as values."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson
import pytest

from gallery.identity import SCOPES, NotRecognised, Principal, restored, stored

END = datetime(2026, 3, 2, tzinfo=UTC)


def test_the_scopes_are_these_each_with_what_it_allows() -> None:
    """Five; tokens are made of them."""
    assert list(SCOPES) == [
        "integrations:read", "integrations:write", "events:read", "events:replay", "knowledge:read",
    ]  # fmt: skip
    assert all(SCOPES.values())


def test_a_principal_may_what_it_was_given() -> None:
    """Writing does not include reading: what was not given is not there."""
    principal = Principal(subject="token:ci", name="ci", scopes=frozenset({"integrations:write"}))
    assert principal.may("integrations:write")
    assert not principal.may("integrations:read")
    assert not principal.may("")


@pytest.mark.parametrize("project", [None, uuid4()], ids=["free", "one project"])
def test_a_principal_survives_being_stored(project: UUID | None) -> None:
    """As JSON, but for its token and its end, which are columns."""
    principal = Principal(
        subject="oidc:7", name="Nadia", scopes=frozenset(SCOPES), org_id="acme", project_id=project, expires_at=END
    )
    assert restored(orjson.loads(orjson.dumps(stored(principal))), expires_at=END) == principal


def test_a_scope_that_is_gone_is_not_restored() -> None:
    """A session of an older version does not bring it back."""
    value = stored(Principal(subject="oidc:7", name="7", scopes=frozenset({"events:read", "long:gone"})))
    assert restored(value, expires_at=END).scopes == {"events:read"}


def test_nobody_has_a_reason_and_a_message() -> None:
    """One for programs, one for people."""
    error = NotRecognised("expired", "the API token has expired")
    assert (error.reason, str(error)) == ("expired", "the API token has expired")
