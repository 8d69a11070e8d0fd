"""What a delivery asks of anybody who takes it: reading it, naming the event, counting, and a line of the log.

The plain contestants do it with the standard library and `prometheus_client`; what they publish is what we publish.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import sys
import time
import uuid
from datetime import UTC, datetime

from prometheus_client import Counter, Histogram

EVENTS = json.loads(os.environ["EVENTS"])
SECRETS = {uuid.UUID(os.environ["INTEGRATION_ID"]): os.environ["SECRET"].encode()}
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

requests = Counter("requests", "Answered deliveries.", ["outcome", "status"])
seconds = Histogram("request_seconds", "Time from request to answer.", ["outcome"], buckets=BUCKETS)
stored = Counter("stored", "Accepted deliveries by where they were stored.", ["by"])
published = Histogram("publish_seconds", "Time from a publish to its confirm.", ["to", "outcome"], buckets=BUCKETS)

log = logging.getLogger("events")
logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.WARNING)
log.setLevel(logging.INFO)


def genuine(integration_id: uuid.UUID, body: bytes, signature: str) -> bool:
    """Whether the integration's secret signed this body."""
    if (secret := SECRETS.get(integration_id)) is None:
        return False
    return hmac.compare_digest(hmac.new(secret, body, hashlib.sha256).hexdigest(), signature)


def headers(integration_id: uuid.UUID, body: bytes, traceparent: str) -> dict[str, str]:
    """The event's CloudEvents attributes, as ours are."""
    subject, distinct, kind = None, True, "clickup.unrecognized"
    try:
        payload = json.loads(body)
        entity, action = EVENTS[payload["event"]]
        subject, kind = f"{entity}/{payload[entity + '_id']}", f"clickup.{entity}.{action}"
        distinct = bool(payload.get("history_items"))
    except (ValueError, KeyError, TypeError):
        pass
    octets = secrets.token_bytes(16)
    if distinct:
        digest = hashlib.sha256()
        for part in (integration_id.bytes, body):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        octets = digest.digest()[:16]
    number = int.from_bytes(octets, "big") & ~(0xF << 76) & ~(0b11 << 62) | (8 << 76) | (0b10 << 62)
    if not TRACEPARENT.fullmatch(traceparent):
        traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    found = {
        "cloudEvents_id": str(uuid.UUID(int=number)),
        "cloudEvents_specversion": "1.0",
        "cloudEvents_source": f"/clickup/{integration_id}",
        "cloudEvents_type": kind,
        "cloudEvents_time": now,
        "cloudEvents_integrationid": str(integration_id),
        "traceparent": traceparent,
        "cloudEvents_publishedat": now,
    }
    return found | ({} if subject is None else {"cloudEvents_subject": subject})


def answered(started: float, body: bytes, event: dict[str, str], publish_started: float, status: int) -> None:
    """Count it, and say it in one line."""
    now, outcome = time.monotonic(), "accepted" if status == 200 else "unavailable"
    requests.labels(outcome, str(status)).inc()
    seconds.labels(outcome).observe(now - started)
    published.labels("rabbitmq", "stored" if status == 200 else "failed").observe(now - publish_started)
    if status == 200:
        stored.labels("broker").inc()
    line = {
        "event": "event.received", "level": "info", "timestamp": datetime.now(UTC).isoformat(), "status": status,
        "milliseconds": round((now - started) * 1000, 1), "bytes": len(body), "outcome": outcome,
        "integration_id": event["cloudEvents_integrationid"], "event_id": event["cloudEvents_id"],
        "type": event["cloudEvents_type"], "traceparent": event["traceparent"], "stored_by": "broker",
    }  # fmt: skip
    log.info(json.dumps(line))
