"""What the gallery counts, for Prometheus. Labels are bounded: routes, not paths."""

from __future__ import annotations

from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

REQUESTS: Final = Counter("kb_gallery_requests", "Answered requests.", ["route", "method", "status"])
SECONDS: Final = Histogram("kb_gallery_request_seconds", "Time from request to answer.", ["route"])
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def answered(route: str, method: str, status: int, seconds: float) -> None:
    """Count one answer."""
    REQUESTS.labels(route, method if method in METHODS else "other", str(status)).inc()
    SECONDS.labels(route).observe(seconds)


def exposition() -> tuple[bytes, str]:
    """All metrics and their media type."""
    return generate_latest(), CONTENT_TYPE_LATEST
