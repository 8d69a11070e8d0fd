"""How the bus and its messages fail, in our words.

BusError
├── BusUnavailable   not now: the broker is away, silent or full; the same publish may succeed later
│   └── Nacked       the broker is there and did not take it: a queue is full or has no majority
├── Unroutable       never, until somebody binds a queue: a mistake of ours
└── Malformed        never: the message is not an event
"""

from __future__ import annotations


class BusError(Exception):
    """Something about the bus; see the subclasses."""


class BusUnavailable(BusError):
    """The broker cannot take it now; it may have arrived all the same, so publish again with the same id."""


class Nacked(BusUnavailable):
    """The broker answered and refused this message (basic.nack); it may take others."""


class Unroutable(BusError):
    """No queue is bound for it: nothing was stored."""


class Malformed(BusError):
    """A message that is not one of our events."""
