"""Answers that are not 200, in the two shapes ClickUp has: API v2's and API v3's.

v2 answers `{"err", "ECODE"}` (official), v3 `{"status", "message", "trace_id", "timestamp"}` (OpenAPI file of v3; that
`timestamp` is in epoch milliseconds and `trace_id` is digits is assumed).
"""

from collections.abc import Mapping
from typing import Any, TypeVar

Found = TypeVar("Found")


class RefusalError(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, err: str, ecode: str) -> None:
        super().__init__(err)
        self.status = status
        self.err = err
        self.ecode = ecode

    def body(self) -> dict[str, Any]:
        """What API v2 answers."""
        return {"err": self.err, "ECODE": self.ecode}

    def body_v3(self, trace_id: str, at: int) -> dict[str, Any]:
        """What API v3 answers."""
        return {"status": self.status, "message": self.err, "trace_id": trace_id, "timestamp": at}


def found(where: Mapping[str, Found], wanted: str) -> Found:
    """The object of that id, or the refusal that ClickUp gives for unknown and invisible ones alike."""
    try:
        return where[wanted]
    except KeyError:
        raise not_authorized() from None


def not_authorized() -> RefusalError:
    """What ClickUp answers for an id that does not exist or is not visible (observed)."""
    return RefusalError(401, "Team not authorized", "OAUTH_027")


def not_found(what: str) -> RefusalError:
    """What API v3 answers for an unknown doc or page (OpenAPI file of v3 for pages, assumed for docs)."""
    return RefusalError(404, f"{what} not found", "ITEM_015")
