"""ClickUp's webhook deliveries: is it genuine, and what does it say. Pure.

Promises: the signature is checked over the bytes as received, in constant time, and any header value is simply
right or wrong; reading is tolerant (unknown fields, nulls, numbers as strings, both forms of comments) and a body
that says nothing we understand is `Unreadable`, never a crash. Sources: ClickUp's webhook and signature pages
(official) unless said otherwise.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from integrations.clickup.values import identity, items, moment, text

SIGNATURE_HEADER: Final = "x-signature"
DELIVERY_PATTERN: Final = re.compile(rb'"webhook_id"\s*:\s*"([0-9A-Za-z_-]{1,64})"')
MAX_WEBHOOK_IDS: Final = 4
UNRECOGNIZED: Final = "clickup.unrecognized"

EVENTS: Final[Mapping[str, tuple[str, str]]] = {
    "taskCreated": ("task", "created"),
    "taskUpdated": ("task", "updated"),
    "taskDeleted": ("task", "deleted"),
    "taskPriorityUpdated": ("task", "priority_updated"),
    "taskStatusUpdated": ("task", "status_updated"),
    "taskAssigneeUpdated": ("task", "assignee_updated"),
    "taskDueDateUpdated": ("task", "due_date_updated"),
    "taskTagUpdated": ("task", "tag_updated"),
    "taskMoved": ("task", "moved"),
    "taskCommentPosted": ("comment", "posted"),
    "taskCommentUpdated": ("comment", "updated"),
    "taskTimeEstimateUpdated": ("task", "time_estimate_updated"),
    "taskTimeTrackedUpdated": ("task", "time_tracked_updated"),
    "listCreated": ("list", "created"),
    "listUpdated": ("list", "updated"),
    "listDeleted": ("list", "deleted"),
    "folderCreated": ("folder", "created"),
    "folderUpdated": ("folder", "updated"),
    "folderDeleted": ("folder", "deleted"),
    "spaceCreated": ("space", "created"),
    "spaceUpdated": ("space", "updated"),
    "spaceDeleted": ("space", "deleted"),
    "goalCreated": ("goal", "created"),
    "goalUpdated": ("goal", "updated"),
    "goalDeleted": ("goal", "deleted"),
    "keyResultCreated": ("key_result", "created"),
    "keyResultUpdated": ("key_result", "updated"),
    "keyResultDeleted": ("key_result", "deleted"),
}
"""All 28 event names ClickUp documents, as entity and action of the routing key."""


class Unreadable(Exception):
    """A genuine delivery that says nothing we understand; the message says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment as a history item carries it."""

    id: str
    text: str
    author: Mapping[str, Any]
    posted_at: datetime | None


class Notice(NamedTuple):
    """What one delivery says.

    Attributes:
        entity: task, comment, list, folder, space, goal or key_result.
        action: the routing key's word: created, status_updated, posted, ...
        id: of the entity.
        task_id: of the task a comment stands on; the id itself for a task.
        goal_id: of the goal a key result belongs to; the id itself for a goal.
        comments: of a comment event.
        history: its history items. Without them two different changes have equal bytes.
    """

    entity: str
    action: str
    id: str
    task_id: str | None = None
    goal_id: str | None = None
    comments: tuple[Comment, ...] = ()
    history: Sequence[Mapping[str, Any]] = ()

    @property
    def changed_at(self) -> datetime | None:
        """The latest time in its history."""
        return max((date for item in self.history if (date := moment(item.get("date")))), default=None)

    @property
    def type(self) -> str:
        """The event's type: `clickup.<entity>.<action>`."""
        return f"clickup.{self.entity}.{self.action}"

    @property
    def subject(self) -> str:
        """What it is about: `<entity>/<id>`."""
        return f"{self.entity}/{self.id}"


def sign(secret: str, body: bytes) -> str:
    """The `X-Signature` of a body: hex HMAC-SHA-256 with the secret's characters as the key."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def genuine(body: bytes, signature: bytes, secrets: Iterable[str]) -> bool:
    """Whether one of the secrets signed this body. Takes as long whichever of them it is."""
    given = signature.strip().lower()
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(sign(secret, body).encode(), given)
    return found


def webhook_ids(body: bytes) -> Sequence[str]:
    """The hook a body claims to come from, before anything is trusted or parsed.

    Looked up in the raw bytes, so that it works for a body no JSON parser takes. A quoted `webhook_id` in somebody's
    text is escaped and does not match; should custom data hold one, the few candidates are all returned.
    """
    found = [match.group(1).decode() for match in DELIVERY_PATTERN.finditer(body)]
    return list(dict.fromkeys(reversed(found)))[:MAX_WEBHOOK_IDS][::-1]


def read(body: bytes) -> Notice:
    """What a delivery says. Raises `Unreadable`."""
    return notice(parse(body))


def notice(payload: Mapping[str, Any]) -> Notice:
    """What a parsed delivery says. Raises `Unreadable`."""
    event = payload.get("event")
    if not isinstance(event, str) or event not in EVENTS:
        named = event[:60] if isinstance(event, str) else type(event).__name__
        raise Unreadable(f"unknown event {named!r}")
    entity, action = EVENTS[event]
    history = items(payload.get("history_items"))
    task_id, goal_id = identity(payload.get("task_id")), identity(payload.get("goal_id"))
    comments = tuple(one for item in history if (one := comment(item))) if entity == "comment" else ()
    own = comments[0].id if comments else identity(payload.get(f"{entity}_id"))
    if entity == "comment" and task_id is None:
        raise Unreadable(f"{event} without task_id")
    if own is None:
        raise Unreadable(f"{event} without {entity}_id")
    if entity == "key_result" and action != "deleted" and goal_id is None:
        raise Unreadable(f"{event} without goal_id")
    return Notice(
        entity=entity,
        action=action,
        id=own,
        task_id=task_id,
        goal_id=goal_id,
        comments=comments,
        history=history,
    )


def parse(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises `Unreadable`.

    `json` is asked where `orjson` refuses: JavaScript's JSON.stringify may emit lone surrogates for a cut emoji.
    """
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Unreadable("the body is not JSON") from error
    if not isinstance(payload, dict):
        raise Unreadable(f"the body is a JSON {type(payload).__name__}, not an object")
    return payload


def comment(item: Mapping[str, Any]) -> Comment | None:
    """The comment of a history item: an object (official), or the array of its blocks alone (a public sample)."""
    found = item.get("comment")
    content: Mapping[str, Any] = found if isinstance(found, dict) else {"comment": found}
    id_ = identity(content.get("id")) or identity(item.get("after"))
    if id_ is None:
        return None
    blocks = items(content.get("comment"))
    return Comment(
        id=id_,
        text=text(content.get("text_content")) or "".join(text(block.get("text")) or "" for block in blocks),
        author=next((user for user in (content.get("user"), item.get("user")) if isinstance(user, dict)), {}),
        posted_at=moment(content.get("date")) or moment(item.get("date")),
    )
