"""ClickUp's deliveries: genuine or not over the bytes as they came, and what they say, however odd they are."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.clickup.values import moment
from integrations.clickup.webhook import EVENTS, Unreadable, genuine, read, sign, webhook_ids
from tests.conftest import SAMPLES, SECRET, WEBHOOK, sample

VECTORS = {
    "task-deleted": "5f1059d345bbd7fc5d919fcbe947ebe4f664600384df03866459d762ed70991d",
    "task-updated-name": "50a143d12c3f98edf7862b062ad4de16ba4b4c6d52faea72adc6dbddc8e675b5",
    "task-comment-posted": "008672fa141c005477369f26162ce84c768c4906b959e7e930deb37d7b068b07",
}
DELETED = VECTORS["task-deleted"].encode()
AUTOMATIONS = ("automation-call-webhook", "automation-call-webhook-legacy")
DELIVERIES = sorted(path.stem for path in SAMPLES.glob("*.json") if path.stem not in AUTOMATIONS)
TASK, COMMENT, GOAL = "868cq4m2x", "90130098113702", "6f1d2c7a-0b34-4f55-9e61-2f7a3c9d8e10"
RESULT, LIST, FOLDER, SPACE = "b3a90d4e-77c2-4d1b-8a3f-5c6e7f801234", "901305551277", "90131880442", "90131120077"


def body(event: str = "taskUpdated", **more: Any) -> bytes:
    return orjson.dumps({"event": event, **more, "webhook_id": WEBHOOK})


def brief(value: object) -> str:
    return ascii(value)[:50]


def comment_event(*items: Any, **more: Any) -> bytes:
    return body("taskCommentPosted", history_items=list(items), **({"task_id": TASK} | more))


@pytest.mark.parametrize(("name", "signature"), VECTORS.items())
def test_published_signatures(name: str, signature: str) -> None:
    """The published vectors verify over the samples' exact bytes, and signing gives them."""
    assert sign(SECRET, sample(name)) == signature
    assert genuine(sample(name), signature.encode(), [SECRET])


@pytest.mark.parametrize(
    ("header", "right"),
    [
        (DELETED, True),
        (DELETED.upper(), True),
        (b" " + DELETED + b"\t", True),
        (b"", False),
        (b" ", False),
        (DELETED[:-1], False),
        (DELETED + b"0", False),
        (b"0" + DELETED[1:], False),
        (b"sha256=" + DELETED, False),
        (VECTORS["task-updated-name"].encode(), False),
        (DELETED[:-1] + "é".encode("latin-1"), False),
        (DELETED[:-2] + "é".encode(), False),
        (b"\xff" * 64, False),
        (b"\x00" * 64, False),
        (b"a" * 100_000, False),
        (bytes.fromhex(DELETED.decode()), False),
    ],
    ids=brief,
)
def test_any_header_is_right_or_wrong(header: bytes, right: bool) -> None:
    """Any header value, of any length and any octets, is simply right or wrong."""
    assert genuine(sample("task-deleted"), header, [SECRET]) is right


@given(header=st.binary(max_size=80), payload=st.binary(max_size=80), secret=st.text(max_size=70))
@settings(max_examples=100, deadline=None)
def test_no_header_is_an_error(header: bytes, payload: bytes, secret: str) -> None:
    """Whatever the header, the body and the secret are, only the signature itself is right."""
    assert genuine(payload, sign(secret, payload).encode(), [secret])
    assert not genuine(payload, header, [secret])


@pytest.mark.parametrize("name", ["task-updated-name", "task-comment-posted"])
def test_another_writing_of_the_same_json_does_not_verify(name: str) -> None:
    """The signature is the bytes': other blanks, key order or escapes do not verify, though they say the same."""
    raw, signature = sample(name), VECTORS[name].encode()
    payload = orjson.loads(raw)
    rewritten = {json.dumps(payload).encode(), orjson.dumps(payload, option=orjson.OPT_SORT_KEYS), raw + b"\n"}
    for other in rewritten:
        assert orjson.loads(other) == payload
        assert other != raw
        assert not genuine(other, signature, [SECRET])


def test_a_changed_octet_does_not_verify() -> None:
    """Changing any one octet of the body makes the signature wrong."""
    raw = sample("task-deleted")
    for position in range(len(raw)):
        other = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        assert not genuine(other, DELETED, [SECRET])


def test_several_secrets() -> None:
    """Any one of several secrets may have signed, wherever it stands; none is nobody's."""
    raw = sample("task-deleted")
    for secrets in ([SECRET, "other"], ["other", SECRET], ["", "ключ", SECRET, "other"]):
        assert genuine(raw, DELETED, iter(secrets))
    assert not genuine(raw, DELETED, [])
    assert not genuine(raw, DELETED, ["other", SECRET.lower(), SECRET + "X"])


def expected_subject(name: str) -> str:
    kind = name.split("-", 1)[0]
    if name.startswith("task-comment"):
        return f"comment/{COMMENT}"
    if name.startswith("key-result"):
        return f"key_result/{RESULT}"
    if kind == "task":
        return "task/868cq4n7k" if name == "task-deleted" else f"task/{TASK}"
    ids = {"list": LIST, "folder": FOLDER, "space": SPACE, "goal": GOAL}
    return f"{kind}/901305551201" if name == "list-deleted" else f"{kind}/{ids[kind]}"


@pytest.mark.parametrize("name", DELIVERIES)
def test_samples(name: str) -> None:
    """Each sample says its type and subject, whether it has history, and when its latest change was."""
    payload = orjson.loads(sample(name))
    notice = read(sample(name))
    entity, action = EVENTS[payload["event"]]
    history = payload.get("history_items", [])
    assert notice.type == f"clickup.{entity}.{action}"
    assert notice.subject == expected_subject(name)
    assert notice.task_id == payload.get("task_id")
    assert notice.goal_id == payload.get("goal_id")
    assert list(notice.history) == history
    assert notice.changed_at == moment(max((item["date"] for item in history), default=None))
    assert webhook_ids(sample(name)) == [WEBHOOK]


def test_samples_have_all_28_events() -> None:
    """Between them the samples show every event there is, and each has a type of its own."""
    seen = {orjson.loads(sample(name))["event"] for name in DELIVERIES}
    assert seen == set(EVENTS)
    assert len(EVENTS) == len(set(EVENTS.values())) == 28


@pytest.mark.parametrize(
    ("name", "companion"),
    [
        ("task-created", "task-created.companion-task-status-updated"),
        ("task-status-updated", "task-status-updated.companion-task-updated"),
    ],
)
def test_companions(name: str, companion: str) -> None:
    """A companion is about the same thing at the same time, and another type."""
    one, other = read(sample(name)), read(sample(companion))
    assert (one.subject, one.changed_at) == (other.subject, other.changed_at)
    assert one.type != other.type


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("task-comment-posted", "Checked on staging, no dropped messages.\n"),
        ("task-comment-updated", "Checked on staging twice, no dropped messages.\n"),
    ],
)
def test_comments_as_objects(name: str, text: str) -> None:
    """A comment in ClickUp's own form gives its id, text, author, date and task."""
    (comment,) = read(sample(name)).comments
    assert comment.id == COMMENT
    assert comment.text == text
    assert comment.author["username"] == "Tomás Rivera"
    assert comment.posted_at == moment("1773569451207")


def test_comments_as_blocks() -> None:
    """A comment that is only its blocks of text gives the same: id from `after`, author and date from the item."""
    blocks: list[object] = [{"text": "Checked "}, None, {"text": 7}, {"attributes": {}}, {"text": " times"}]
    item = {"after": COMMENT, "date": "1773569451207", "user": {"id": 1, "username": "T"}, "comment": blocks}
    notice = read(comment_event(item))
    (comment,) = notice.comments
    assert (comment.id, comment.text, comment.author["username"]) == (COMMENT, "Checked 7 times", "T")
    assert comment.posted_at == notice.changed_at == moment(1773569451207)
    assert (notice.subject, notice.task_id) == (f"comment/{COMMENT}", TASK)


@pytest.mark.parametrize(
    "content", [None, "text", 7, {}, {"comment": None}, {"user": 5, "date": [], "text_content": 0}]
)
def test_comments_in_odd_forms(content: object) -> None:
    """A comment that is null or of another type is still the comment that `after` names."""
    (comment,) = read(comment_event({"after": 42, "date": "soon", "comment": content})).comments
    assert (comment.id, comment.author, comment.posted_at) == ("42", {}, None)


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"event":"taskUpdated","task_id":' + b"9" * 5000 + b"}", "not JSON"),
        (b"[]", "JSON list"),
        (b"null", "JSON NoneType"),
        (b'"taskUpdated"', "JSON str"),
        (b"7", "JSON int"),
        (b"NaN", "JSON float"),
        (b"{}", "unknown event"),
        (body("taskAttachmentUpdated", task_id=TASK), "unknown event 'taskAttachmentUpdated'"),
        (body("keyResultDelete", key_result_id=RESULT), "unknown event"),
        (b'{"event":["taskUpdated"],"task_id":"1"}', "unknown event"),
        (b'{"event":null,"task_id":"1"}', "unknown event"),
        (body("taskUpdated"), "taskUpdated without task_id"),
        (body("taskUpdated", task_id=None), "without task_id"),
        (body("taskUpdated", task_id=""), "without task_id"),
        (body("taskUpdated", task_id=True), "without task_id"),
        (body("taskUpdated", task_id=["868cq4m2x"]), "without task_id"),
        (body("taskUpdated", task_id="\x00"), "without task_id"),
        (body("listUpdated", task_id=TASK), "listUpdated without list_id"),
        (body("keyResultUpdated", goal_id=GOAL), "without key_result_id"),
        (body("keyResultCreated", key_result_id=RESULT), "without goal_id"),
        (body("taskCommentPosted", task_id=TASK), "without comment_id"),
        (comment_event({"comment": {"text_content": "x"}}), "without comment_id"),
        (comment_event({"after": COMMENT}, task_id=None), "without task_id"),
    ],
    ids=brief,
)
def test_unreadable(raw: bytes, says: str) -> None:
    """What says nothing we understand is Unreadable, and the message says in one short line what is missing."""
    with pytest.raises(Unreadable, match=says) as caught:
        read(raw)
    assert len(str(caught.value)) < 100
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", AUTOMATIONS)
def test_automations_are_unreadable(name: str) -> None:
    """What an automation's `call webhook` sends is no event, and claims to be from no hook."""
    with pytest.raises(Unreadable):
        read(sample(name))
    assert webhook_ids(sample(name)) == []


@pytest.mark.parametrize(
    ("raw", "identity"),
    [
        (b'{"event":"taskUpdated","task_id":868,"history_items":null}', "868"),
        (b'{"event":"taskUpdated","task_id":"1","task_id":"2"}', "2"),
        (b'{"event":"taskDeleted","event":"taskUpdated","task_id":"1"}', "1"),
        (b'{"event":"taskUpdated","task_id":"a","history_items":[null,7,"x",[],{"date":NaN},{"date":1e999}]}', "a"),
        (b'{"event":"taskUpdated","task_id":"a","history_items":[{"after":"\\ud83d","date":"1773569451207"}]}', "a"),
        (b'{"event":"taskUpdated","task_id":"a\\ud83d"}', "a?"),
        (b'{"event":"taskUpdated","task_id":"a\\u0000b"}', "ab"),
        (b'{"event":"taskUpdated","task_id":"a","history_items":{"date":"1"}}', "a"),
        (b'{"event":"taskUpdated","task_id":"a","history_items":[{"date":' + b"9" * 300 + b"}]}", "a"),
        (b'{"event":"taskUpdated","task_id":"a","x":' + b"9" * 300 + b"}", "a"),
        (b'{"event":"taskUpdated","task_id":"a","x":' + b"[" * 900 + b"]" * 900 + b"}", "a"),
        (b'\xef\xbb\xbf {"event":"taskUpdated" , "task_id":"a"}\r\n', "a"),
    ],
    ids=brief,
)
def test_odd_but_readable(raw: bytes, identity: str) -> None:
    """Numbers as ids, duplicate keys, NaN, huge numbers, depth, lone surrogates and NUL cost no event."""
    notice = read(raw)
    assert (notice.type, notice.id) == ("clickup.task.updated", identity)


def test_the_latest_of_the_readable_dates_counts() -> None:
    """Among dates that are no dates, the latest that is one is the change's time."""
    dates: list[object] = [None, "x", -1, "1773569451207", 1773569451208.0, "9" * 40, True, {}]
    assert read(body(task_id=TASK, history_items=[{"date": date} for date in dates])).changed_at == moment(
        1773569451208
    )


@given(
    st.sampled_from(sorted(EVENTS)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "date", "comment", "after", "user", "text"]), inner, max_size=4)
        ),
        max_leaves=15,
    ),
)
@settings(max_examples=100, deadline=None)
def test_any_history(event: str, history: object) -> None:
    """Whatever the history holds, surrogates and NaN too, an event with its ids is read or Unreadable."""
    ids = {f"{kind}_id": "1" for kind in ("task", "list", "folder", "space", "goal", "key_result")}
    raw = json.dumps({"event": event, "history_items": [history], **ids}).encode()
    try:
        notice = read(raw)
    except Unreadable:
        assert event.startswith("taskComment")
    else:
        assert notice.type == "clickup." + ".".join(EVENTS[event])
        notice.subject.encode()


OTHER = "0b6d7c1e-1111-4222-8333-444455556666"
QUOTED = json.dumps(f'{{"webhook_id":"{OTHER}"}}')


@pytest.mark.parametrize(
    ("raw", "ids"),
    [
        (b"", []),
        (b'{"webhook_id":null}', []),
        (b'{"webhook_id":7}', []),
        (b'{"webhook_id":""}', []),
        (b'{"webhook_id":"a b"}', []),
        (b'{"webhook_id":"' + b"a" * 65 + b'"}', []),
        (b'{"webhook_id" :\n "W-1_x"}', ["W-1_x"]),
        (f'{{"broken": , "webhook_id":"{WEBHOOK}"'.encode(), [WEBHOOK]),
        (b'{"a":"\xff\xfe\\ud800","webhook_id":"' + WEBHOOK.encode() + b'"}', [WEBHOOK]),
        (f'{{"text":{QUOTED},"webhook_id":"{WEBHOOK}"}}'.encode(), [WEBHOOK]),
        (f'{{"text":{json.dumps(QUOTED)},"webhook_id":"{WEBHOOK}"}}'.encode(), [WEBHOOK]),
        (f'{{"data":{{"webhook_id":"{OTHER}"}},"webhook_id":"{WEBHOOK}"}}'.encode(), [OTHER, WEBHOOK]),
        (f'{{"webhook_id":"{WEBHOOK}","webhook_id":"{WEBHOOK}"}}'.encode(), [WEBHOOK]),
    ],
    ids=brief,
)
def test_webhook_ids(raw: bytes, ids: list[str]) -> None:
    """The hook is found also in a body that no parser takes, and not where it is only quoted in a text."""
    assert webhook_ids(raw) == ids


def test_webhook_ids_are_few() -> None:
    """However many hooks a body names, a few are looked up, and ClickUp's own, the last, is always among them."""
    others = ",".join(f'{{"webhook_id":"other-{at}"}}' for at in range(1000))
    for first in ("", f'{{"webhook_id":"{WEBHOOK}"}},'):
        found = webhook_ids(f'{{"data":[{first}{others}],"webhook_id":"{WEBHOOK}"}}'.encode())
        assert WEBHOOK in found
        assert len(found) <= 4


def test_webhook_ids_take_linear_time() -> None:
    """A long body made to look almost like a hook's id is searched at once."""
    assert webhook_ids(b'"webhook_id"' * 100_000 + b" " * 100_000) == []
    assert webhook_ids((b'"webhook_id"' + b" " * 1000) * 1000) == []


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity"])
def test_what_is_no_number_is_no_id(number: bytes) -> None:
    """A number past all floats would be the task `inf`, the same one for all of them."""
    with pytest.raises(Unreadable, match="without task_id"):
        read(b'{"event":"taskUpdated","task_id":' + number + b"}")
