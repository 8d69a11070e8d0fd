"""What the programs count of their connections, for Prometheus."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

REFUSED: Final = Counter(
    "kb_http_refused", "Connections closed because of what their client did or left undone, by reason.", ["reason"]
)
