"""Pages from templates: everything is escaped, and times, numbers and highlights are put into words for people."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from gallery import charts, files

HERE: Final = Path(__file__).parent
STATES: Final = {
    "connected": "Connected",
    "disabled": "Disabled",
    "importing": "Importing",
    "failing": "Needs attention",
    "not_configured": "Not configured",
}
ADVICE: Final = (
    ("TokenRefused", "The source does not accept the token any more. Configure the integration with a new one."),
    ("RateLimited", "The calls of this minute are used up. It goes on by itself when there are new ones."),
    ("Unavailable", "The source is away or overloaded. Nothing is lost; it is tried again by itself."),
    ("Gone", "The token does not see the workspace. Test the connection, and choose one that it sees."),
)
"""What to do about errors of the source, by their names."""
NONE: Final = "\N{EN DASH}"
OPEN: Final = "\x02"
CLOSE: Final = "\x03"


def moment(value: Any) -> Markup:
    """A time as an element that the page's script puts into words such as `3 minutes ago`."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value is None:
        return Markup('<span class="quiet">never</span>')
    utc = f"{value:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(value.isoformat(), utc, utc)


def number(value: float | None) -> str:
    """A count with thin spaces between the thousands."""
    return NONE if value is None else f"{value:,.0f}".replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """Seconds, as people say it."""
    if seconds is None:
        return NONE
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def marked(text: str) -> Markup:
    """An excerpt whose matches are between U+0002 and U+0003."""
    safe = str(escape(text))
    return Markup(safe.replace(OPEN, "<mark>").replace(CLOSE, "</mark>"))  # noqa: S704  escaped one line above


def pretty(text: Any) -> str:
    """JSON, indented; anything else as it is."""
    try:
        value = orjson.loads(text) if isinstance(text, str | bytes) else text
        return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return str(text)


def words(name: str) -> str:
    """A name of ours, for people."""
    return re.sub(r"[_\-.]+", " ", name).strip().capitalize()


def advice(text: str) -> str | None:
    """What people can do about an error, if we know."""
    return next((help_ for name, help_ in ADVICE if re.search(rf"\b{name}\b", text)), None)


def external(url: str | None) -> str | None:
    """An address to link to, if it is one of the web and not a script in disguise."""
    return url if url is not None and url.startswith(("https://", "http://")) else None


environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.filters |= {
    "moment": moment,
    "number": number,
    "duration": duration,
    "marked": marked,
    "pretty": pretty,
    "words": words,
    "external": external,
    "advice": advice,
}
environment.globals |= {"STATES": STATES, "charts": charts, "files": files.PLACE}


def html(template: str, context: dict[str, Any], status: int = 200) -> HTMLResponse:
    """A page."""
    return HTMLResponse(environment.get_template(template).render(context), status)
