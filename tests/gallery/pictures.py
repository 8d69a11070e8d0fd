"""`make screenshots`: pictures of every view, light and dark, on a desktop and on a phone, to docs/pictures.

They are made from the real programs and a simulated workspace, and get a palette of their own, so that all are small.
"""

from __future__ import annotations

import asyncio
import random
import struct
import tempfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from playwright.async_api import Page, ViewportSize

from integrations.clickup.simulator.story import next_step
from schema.migrate import migrate
from tests.conftest import new_database
from tests.gallery.browser import DESKTOP, PHONE, SETTLE, TOKEN, World, dialog, world

TARGET: Final = Path(__file__).parents[2] / "docs" / "pictures"
COLOURS: Final = 200
NEAR: Final = 60
"""Squared, of two colours that nobody tells apart."""
STEPS: Final = 120
SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
SIZES: Final[dict[str, ViewportSize]] = {"desktop": DESKTOP, "phone": PHONE}


async def main() -> None:
    """Make them all."""
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with new_database() as template:
            await migrate(template)
            async with world(Path(folder), urlsplit(template).path.removeprefix("/")) as at:
                await lived(at)
                await take(at)


async def lived(at: World) -> None:
    """A company that connected two workspaces and works in one; a third one has a token that is refused."""
    at.main = await at.connected("ClickUp", hook=True)
    await at.job(at.main, kind="import")
    await at.connected("Marketing's ClickUp")
    failing = await at.connected("Agency", token="pk_1_REVOKED")
    await at.job(failing, kind="import")
    chance = random.Random(3)  # noqa: S311  a story
    for _ in range(STEPS):
        await at.simulator.apply(next_step(at.simulator.workspace, chance))
        await asyncio.sleep(0.1)
    for hook in at.hooks():
        await at.deliver(at.main, hook, b'{"event": "somethingNew"}')
    await asyncio.sleep(2)


async def take(at: World) -> None:
    """Every view in every way."""
    events = (await at.call("GET", "/events?limit=1&type=clickup.task&outcome=applied"))["items"]
    asked, found = await readable(at)
    job = await at.job(at.main, kind="sweep")
    views = {
        "gallery": "/", "integration": f"/integrations/{at.main}", "job": f"/jobs/{job}", "events": "/events",
        "event": f"/events/{events[0]['id']}", "dead-letters": "/dead-letters",
        "search": f"/search?q={asked}&type=task",
        "object": f"/objects/{found[0]['id']}", "audit": "/audit",
    }  # fmt: skip
    for size, viewport in SIZES.items():
        for theme in ("light", "dark"):
            async with at.page(None, viewport=viewport, dark=theme == "dark") as page:
                await page.goto("/sign-in")
                await shot(page, f"sign-in-{size}-{theme}")
            async with at.page(viewport=viewport, dark=theme == "dark") as page:
                for name, path in views.items():
                    await page.goto(path)
                    await shot(page, f"{name}-{size}-{theme}")
                await page.goto("/")
                await configuring(page)
                await shot(page, f"configure-{size}-{theme}")
                await page.goto("/")
                await page.locator("li.card").filter(has_text="Marketing").get_by_role("button", name="Import").click()
                await dialog(page).get_by_role("treeitem").first.wait_for()
                await dialog(page).locator("[data-type=list]").first.click()
                await shot(page, f"import-{size}-{theme}")


async def readable(at: World) -> tuple[str, list[dict[str, str]]]:
    """A word and what it finds, all in letters that every machine has."""
    for word in ("vendor", "invoice", "export", "dashboard", "queue", "retry", "renewal", "order"):
        found = (await at.call("GET", f"/knowledge/search?q={word}&type=task"))["items"]
        if found and all(f"{one['title']}{one['excerpt']}".replace("\u2026", "").isascii() for one in found):
            return word, found
    return "the", (await at.call("GET", "/knowledge/search?q=the&type=task"))["items"]


async def configuring(page: Page) -> None:
    """The dialog with a tested connection."""
    await page.locator("li.card").filter(has_text="Marketing").get_by_role("button", name="Configure").click()
    await dialog(page).get_by_label("API token").fill(TOKEN)
    await dialog(page).get_by_role("button", name="Test connection").click()
    await dialog(page).locator(".verdict.good").wait_for()


async def shot(page: Page, name: str) -> None:
    """One picture."""
    await page.evaluate(SETTLE)
    made = small(await page.screenshot())
    (TARGET / f"{name}.png").write_bytes(made)


def small(png: bytes) -> bytes:
    """A picture of three octets a pixel as one with a palette of its most frequent colours."""
    width, height, pixels = _opened(png)
    counts = Counter(pixels)
    palette: list[bytes] = []
    place: dict[bytes, int] = {}
    for colour, _ in counts.most_common():
        apart, at = min(((_distance(one, colour), at) for at, one in enumerate(palette)), default=(NEAR, 0))
        if apart >= NEAR and len(palette) < COLOURS:
            at = len(palette)
            palette.append(colour)
        place[colour] = at
    rows = b"".join(
        b"\0" + bytes(place[one] for one in pixels[at : at + width]) for at in range(0, width * height, width)
    )
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _opened(png: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and pixels of a picture as Chromium writes it: eight bits, RGB or RGBA, not interlaced."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    size = {2: 3, 6: 4}[kind]
    assert depth == 8
    at, packed = len(SIGNATURE), b""
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        packed += png[at + 8 : at + 8 + length] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += length + 12
    raw, before, pixels = zlib.decompress(packed), bytearray(width * size), list[bytes]()
    for start in range(0, len(raw), width * size + 1):
        before = _unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + width * size]), before, size)
        pixels += [bytes(before[one : one + 3]) for one in range(0, width * size, size)]
    return width, height, pixels


def _unfiltered(how: int, line: bytearray, above: bytearray, size: int) -> bytearray:
    """A line of a PNG without its filter (PNG specification, chapter 9)."""
    for at in range(len(line) if how else 0):
        left, up, corner = (line[at - size], above[at], above[at - size]) if at >= size else (0, above[at], 0)
        if how == 4:
            near = [abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)]
            guess = (left, up, corner)[near.index(min(near))]
        else:
            guess = (0, left, up, (left + up) // 2)[how]
        line[at] = (line[at] + guess) & 255
    return line


if __name__ == "__main__":
    asyncio.run(main())
