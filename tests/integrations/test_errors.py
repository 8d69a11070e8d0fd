"""The names of ClickUp's refusals: pure, one table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.clickup.errors import (
    AlreadyRegistered,
    ClickUpError,
    Gone,
    RateLimited,
    Rejected,
    TokenRefused,
    Unavailable,
    refusal,
    retry_after,
)

CALL = "GET /v2/task/868cq4m2x"
RESET = int(datetime(2026, 3, 15, 10, 0, 30, tzinfo=UTC).timestamp())


def v2(code: object, err: object = "Something") -> dict[str, Any]:
    return {"err": err, "ECODE": code}


def v3(status: int, message: str) -> dict[str, Any]:
    return {"status": status, "message": message, "trace_id": 123456789, "timestamp": 1671534256138}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, v2("OAUTH_027", "Team not authorized"), Gone),
        (401, v2("OAUTH_023"), Gone),
        (403, v2("OAUTH_026"), Gone),
        (401, v2("OAUTH_029"), Gone),
        (401, v2("OAUTH_045"), Gone),
        (401, v2("OAUTH_046"), TokenRefused),
        (401, v2("OAUTH_028"), TokenRefused),
        (401, v2("OAUTH_017"), TokenRefused),
        (401, v2("OAUTH_019"), TokenRefused),
        (403, v2("OAUTH_077"), TokenRefused),
        (401, v2("OAUTH_019", "Team not authorized"), TokenRefused),
        (401, v2(None), TokenRefused),
        (401, None, TokenRefused),
        (403, v2("ACCESS_083", "You have no permission"), Rejected),
        (403, None, Unavailable),
        (404, v2("ITEM_013"), Gone),
        (404, None, Gone),
        (404, v3(404, "Doc not found"), Gone),
        (401, v3(401, "Team not authorized"), Gone),
        (403, v3(403, "Workspace Not Authorized"), Gone),
        (401, v3(401, "Oauth token not found"), TokenRefused),
        (403, v3(403, "Forbidden"), Rejected),
        (400, v3(400, "limit must be from 10 to 100"), Rejected),
        (500, v3(500, "Internal server error"), Unavailable),
        (400, v2("OAUTH_171"), AlreadyRegistered),
        (409, v2("OAUTH_171"), AlreadyRegistered),
        (500, v2("OAUTH_171"), Unavailable),
        (400, v2("INPUT_003"), Rejected),
        (400, v2([], {"a": 1}), Rejected),
        (400, None, Rejected),
        (418, [], Rejected),
        (408, None, Unavailable),
        (429, v2("APP_002"), RateLimited),
        (429, v2("OAUTH_027"), RateLimited),
        (429, None, RateLimited),
        (500, v2("OAUTH_027"), Unavailable),
        (502, None, Unavailable),
        (599, {"err": None, "ECODE": 5}, Unavailable),
        (301, None, Unavailable),
        (200, None, Unavailable),
        (100, None, Unavailable),
    ],
    ids=str,
)
def test_every_refusal_has_one_name(status: int, body: object, kind: type[ClickUpError]) -> None:
    """Status and code, in either shape or none, say whether to ask again, and whether it is about the token."""
    error = refusal(CALL, status, {}, body)
    assert type(error) is kind
    assert str(error).startswith(f"{CALL} answered {status}")


def test_a_message_is_of_use() -> None:
    """It says the call, the status, the code and ClickUp's words; of v3 the trace that ClickUp's support asks for."""
    assert str(refusal(CALL, 400, {}, v2("INPUT_003", "Bad page"))) == f"{CALL} answered 400 INPUT_003 Bad page"
    assert str(refusal(CALL, 400, {}, {"error": "Bad page"})) == f"{CALL} answered 400 Bad page"
    assert str(refusal(CALL, 400, {}, v3(400, "Bad page"))) == f"{CALL} answered 400 Bad page (trace 123456789)"
    assert "kb-ingest doctor" in str(refusal(CALL, 401, {}, None))


def test_a_message_is_one_short_line() -> None:
    """However long and odd ClickUp's words are."""
    message = str(refusal(CALL, 400, {}, v2("A\nB" * 1000, "a\r\nb\x00\x1b[31m\u2028\ud83d" * 1000)))
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize("padding", [0, 85, 95, 99])
def test_a_secret_that_is_repeated_is_left_out(padding: int) -> None:
    """A refusal that quotes the token does not bring it into the message, not even the half that fits."""
    secret = "pk_48213377_SECRETSECRETSECRET"
    body = {"err": "x" * padding + secret, "ECODE": secret, "trace_id": secret}
    for status in (400, 401, 403, 404, 429, 500):
        assert "SECRET" not in str(refusal(CALL, status, {}, body, secrets=[secret]))
        assert "pk_48" not in str(refusal(CALL, status, {}, body, secrets=[secret]))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset": str(RESET), "date": "Sun, 15 Mar 2026 10:00:00 GMT"}, 30),
        ({"x-ratelimit-reset": f"{RESET}.0", "date": "Sun, 15 Mar 2026 10:00:00 GMT"}, 30),
        ({"x-ratelimit-reset": str(RESET), "date": "Sun, 15 Mar 2026 10:00:31 GMT"}, 1),
        ({"x-ratelimit-reset": str(RESET * 1000), "date": "Sun, 15 Mar 2026 10:00:00 GMT"}, 60),
        ({"x-ratelimit-reset": str(RESET + 3600), "date": "Sun, 15 Mar 2026 10:00:00 GMT"}, 60),
        ({"x-ratelimit-reset": "-1", "date": "Sun, 15 Mar 2026 10:00:00 GMT"}, 1),
        ({"x-ratelimit-reset": "soon", "date": "Sun, 15 Mar 2026 10:00:00 GMT"}, 60),
        ({"x-ratelimit-reset": "inf", "date": "Sun, 15 Mar 2026 10:00:00 GMT"}, 60),
        ({"date": "Sun, 15 Mar 2026 10:00:00 GMT"}, 60),
        ({"x-ratelimit-reset": str(RESET)}, 60),
        ({"x-ratelimit-reset": str(RESET), "date": "yesterday"}, 60),
        ({"x-ratelimit-reset": str(RESET), "date": "Sun, 99 Mar 2026 10:00:00 GMT"}, 60),
        ({"x-ratelimit-reset": str(RESET), "date": "Sun, 15 Mar 99999999999 10:00:00 GMT"}, 60),
        ({"retry-after": "7", "x-ratelimit-reset": str(RESET), "date": "Sun, 15 Mar 2026 10:00:00 GMT"}, 7),
        ({"retry-after": "0"}, 1),
        ({"retry-after": "3600"}, 60),
        ({"retry-after": "Sun, 15 Mar 2026 10:00:00 GMT"}, 60),
        ({}, 60),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float) -> None:
    """However odd a 429's headers are, the wait is between a second and a minute, by the answer's own clock."""
    assert retry_after(headers) == seconds
    error = refusal(CALL, 429, headers, None)
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds
