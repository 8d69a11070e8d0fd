"""What the page is made of: served from memory, to anybody, and kept by browsers for good.

Promises: the address of a file changes whenever any of them does, so a page and its files always fit together; an
address of another release gets today's file, which nobody keeps.
"""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

HERE: Final = Path(__file__).parent / "static"
KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
SHEETS: Final = ("tokens", "layout", "parts", "views")
"""Style sheets in their order; browsers get them as one."""
FOR_GOOD: Final = "public, max-age=31536000, immutable"


def read() -> dict[str, bytes]:
    """All files by their names."""
    found = {path.name: path.read_bytes() for path in sorted(HERE.iterdir()) if path.suffix in KINDS}
    return found | {"page.css": b"".join(found.pop(f"{name}.css") for name in SHEETS)}


FILES: Final = read()
SMALL: Final = {name: gzip.compress(body, mtime=0) for name, body in FILES.items()}
VERSION: Final = hashlib.sha256(b"".join(name.encode() + body for name, body in FILES.items())).hexdigest()[:16]
PLACE: Final = f"/static/{VERSION}"
"""Where they are; modules import each other by relative addresses and so stay in it."""


async def serve(request: Request) -> Response:
    """A file."""
    name, version = request.path_params["file"], request.path_params["version"]
    if name not in FILES:
        return Response(status_code=404)
    headers = {"cache-control": FOR_GOOD if version == VERSION else "no-store", "vary": "accept-encoding"}
    body = FILES[name]
    if "gzip" in request.headers.get("accept-encoding", ""):
        body, headers["content-encoding"] = SMALL[name], "gzip"
    return Response(body, media_type=KINDS[Path(name).suffix], headers=headers)


ROUTES: Final = [Route("/static/{version}/{file}", serve, methods=["GET"])]
