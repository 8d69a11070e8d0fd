"""What the simulator is told to get wrong, knob by knob; all off, it behaves like ClickUp on a good day.

The knobs may be turned while it runs. Chance is drawn from the workspace's seed, so that one seed and one sequence
of deliveries and requests meet the same faults.
"""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True, kw_only=True)
class Faults:
    """Rates are probabilities from 0 to 1.

    Attributes:
        drop_rate: a delivery is never sent, and the webhook's health does not show it.
        duplicate_rate: a delivery is sent twice, byte for byte the same.
        shuffle_window: deliveries are collected in groups of this many and each group is sent in random order;
            a group that does not fill is sent after a tenth of a second. 0 and 1 keep the order.
        api_error_rate: a request is answered 500 or 502 with a JSON error.
        api_error_burst: the next so many requests are answered 500, 502 or 503; it counts itself down.
        gateway_error_rate: a request is answered 502, 503 or 504 with an HTML page, as a gateway would.
        reset_rate: a request is not answered, its connection is reset. The request had its effect.
        cut_rate: an answer ends in the middle of its body, and so does the connection.
        stall_rate: an answer stops in the middle of its body for `stall_seconds`, then goes on.
        stall_seconds: how long.
        api_latency: seconds every request waits before it is looked at.
        rate_limited_until: every request before this moment is answered 429.
        ratelimit_headers: off, no answer has the X-RateLimit headers.
        gone_ids: objects that nobody may see: asking for one is answered 401 OAUTH_027, and listings leave it and
            what is in it out. No event tells of it.
        malformed_ids: objects whose name is null wherever they appear.
        hide_secrets: listing or changing webhooks shows no secrets; making one still does.
        keep_suspended: a suspended webhook stays so, whatever is asked; another one may be made.
        docs_cursor_loops: the listing of docs always has a next page, and that leads to itself.
    """

    drop_rate: float = 0.0
    duplicate_rate: float = 0.0
    shuffle_window: int = 0
    api_error_rate: float = 0.0
    api_error_burst: int = 0
    gateway_error_rate: float = 0.0
    reset_rate: float = 0.0
    cut_rate: float = 0.0
    stall_rate: float = 0.0
    stall_seconds: float = 30.0
    api_latency: float = 0.0
    rate_limited_until: datetime | None = None
    ratelimit_headers: bool = True
    gone_ids: set[str] = field(default_factory=set)
    malformed_ids: set[str] = field(default_factory=set)
    hide_secrets: bool = False
    keep_suspended: bool = False
    docs_cursor_loops: bool = False
