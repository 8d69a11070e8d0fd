"""Dead letters by themselves: what their headers tell, whatever is in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from events.bus import DIED, Delivery
from events.dead_letters import DeadLetter
from events.envelope import PREFIX


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-03-15T11:00:00+01:00", datetime(2026, 3, 15, 10, tzinfo=UTC)),
        ("2026-03-15T10:00:00Z", datetime(2026, 3, 15, 10, tzinfo=UTC)),
        ("2026-03-15T10:00:00", datetime(2026, 3, 15, 10, tzinfo=UTC)),
        ("0001-01-01T00:00:00+01:00", None),
        ("yesterday", None),
        (17, None),
        (None, None),
    ],
)
def test_a_time_is_a_time_or_nothing(written: object, meant: datetime | None) -> None:
    """What somebody else put on the queue may say anything; no list passes it on as a time."""
    headers = {f"{PREFIX}time": written, DIED: written}
    delivery = Delivery(headers=headers, body=b"", attempt=1, deliveries=1, token=None)
    nobody: Any = None
    outline = DeadLetter(consumer="knowledge", delivery=delivery, subscription=nobody).outline()
    assert (outline["received_at"], outline["died_at"]) == (meant, meant)
