"""When the consumers look by themselves, as it is configured."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How often the upkeep looks, and how long a burst may be.

    Attributes:
        window: within which deliveries about one thing cost one read.
        look: at every hook.
        sync: at what changed since the cursor, where nothing else asked for it.
        sweep: at everything.
    """

    window: timedelta = timedelta(seconds=2)
    look: timedelta = timedelta(seconds=60)
    sync: timedelta = timedelta(minutes=15)
    sweep: timedelta = timedelta(hours=24)
