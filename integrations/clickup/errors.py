"""What may come of a call to ClickUp instead of an object, by name. Pure.

Promises: every answer that is not what was asked for has one name, and the name says whether to ask again; a message
is one line, tells which call it was and what ClickUp said, and never a token, a header or a body.

The trap: ClickUp answers 401 with ECODE OAUTH_027 for an id that does not exist or is not visible (observed by
several), so a 401 by itself says nothing about the token, and `Gone` by itself nothing about the object until
`ClickUp.prove_token` succeeded.

    ClickUpError
    ├── Gone                   this id does not exist or is not visible to the token
    ├── TokenRefused           the token is revoked, missing or for another workspace
    ├── RateLimited            429; `retry_after` seconds from now it may go on
    ├── Unavailable            5xx, no answer in time, or an answer that is not ClickUp's (a gateway's page)
    │   └── Endless            a listing that came to no end; what came of it is not all of it
    └── Rejected               any other refusal: asking again will not help
        └── AlreadyRegistered  there is a webhook for this endpoint and place
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from integrations.clickup.values import number, part, text

LONGEST_QUOTE: Final = 100
"""Of ClickUp's words in a message."""

# ClickUp's error page (official) for what the codes mean; 027 on a path with an id means an unknown id (observed).
_INVISIBLE: Final = frozenset({"OAUTH_023", "OAUTH_026", "OAUTH_027", *(f"OAUTH_{n:03}" for n in range(29, 46))})
_TOKEN: Final = frozenset({"OAUTH_017", "OAUTH_019", "OAUTH_021", "OAUTH_025", "OAUTH_077"})
_EXISTS: Final = "OAUTH_171"
# v3 sends no code: these are the words that go with OAUTH_027 in v2 (that v3 has them too is inferred)
_INVISIBLE_WORDS: Final = "not authorized"

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_TIMEOUT: Final = 408
_TOO_MANY: Final = 429


class ClickUpError(Exception):
    """A call that did not give an object; see the subclasses."""


class Gone(ClickUpError):
    """The id does not exist or is not visible to this token."""


class TokenRefused(ClickUpError):
    """The token itself is refused; connect the integration anew."""


class RateLimited(ClickUpError):
    """The token's calls of this minute are used up."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(ClickUpError):
    """No proper answer; asking again later may help."""


class Endless(Unavailable):
    """A listing that came to no end: what came of it must not be taken for all there is."""


class Rejected(ClickUpError):
    """Refused for another reason; asking again will not help."""


class AlreadyRegistered(Rejected):
    """There is a webhook of this user for this endpoint and place: list them and take it over."""


def refusal(
    call: str, status: int, headers: Mapping[str, str], body: object, *, secrets: Collection[str] = ()
) -> ClickUpError:
    """The name of an answer that is not what was asked for.

    v2 says `{err, ECODE}`, in places `error` or `message`; v3 says `{status, message, trace_id}` (OpenAPI files,
    official). A 429 need not have a body of this shape (429 is not in the OpenAPI files).

    Args:
        call: the request's method and path.
        status: of the answer; one of success means that the body is not what it should be.
        headers: of the answer, their names in lower case.
        body: parsed; None if it is no JSON.
        secrets: what to leave out of ClickUp's words, should it repeat them.
    """
    told = part(body)
    code = text(told.get("ECODE")) or ""
    words = _words(told, secrets)
    said = " ".join(filter(None, (f"{call} answered {status}", _line(code, secrets), words)))
    if status == _TOO_MANY:
        wait = retry_after(headers)
        return RateLimited(f"{said}; the budget is new in {wait:.0f} s", retry_after=wait)
    if not 400 <= status < 500:
        return Unavailable(said if body is not None else f"{said} without an object")
    if status in (_UNAUTHORIZED, _FORBIDDEN) and (
        code in _INVISIBLE or (not code and _INVISIBLE_WORDS in words.lower())
    ):
        return Gone(said)
    return _refused(status, code, said, is_json=body is not None)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds until the budget is new: at least one, a minute at most, a minute if nothing is said.

    `X-RateLimit-Reset` is in epoch seconds (observed); read against the answer's own `Date`, our clock does not
    matter. `Retry-After` is not documented; where it is sent it is believed.
    """
    told = number(headers.get("retry-after"))
    if told is None and (reset := number(headers.get("x-ratelimit-reset"))) is not None:
        try:
            told = reset - round(parsedate_to_datetime(headers["date"]).timestamp())
        except (KeyError, ValueError, OverflowError):
            told = None
    return min(max(float(told), 1.0), 60.0) if told is not None else 60.0


def _refused(status: int, code: str, said: str, *, is_json: bool) -> ClickUpError:
    if code == _EXISTS:
        return AlreadyRegistered(said)
    if status == _NOT_FOUND:
        return Gone(said)
    if status == _UNAUTHORIZED or (status == _FORBIDDEN and code in _TOKEN):
        return TokenRefused(f"{said}; check the token with `kb-ingest doctor`")
    # a 403 that is not ClickUp's is a firewall's page; one that is forbids this call, and says nothing of the token
    if status == _TIMEOUT or (status == _FORBIDDEN and not is_json):
        return Unavailable(said)
    return Rejected(said)


def _words(told: Mapping[str, object], secrets: Collection[str]) -> str:
    for key in ("err", "error", "message"):
        if words := _line(told.get(key), secrets):
            trace = _line(told.get("trace_id"), secrets)
            return f"{words} (trace {trace})" if trace else words
    return ""


def _line(value: object, secrets: Collection[str]) -> str:
    """One short line of a text, the secrets out of it before it is cut."""
    words = text(value) or ""
    for secret in filter(None, secrets):
        words = words.replace(secret, "***")
    return "".join(char if char.isprintable() else " " for char in words)[:LONGEST_QUOTE].strip()
