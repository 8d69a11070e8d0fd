"""What a call costs whoever makes it with httpx and nothing else: CPU microseconds, printed. `URL TOKEN COUNT`."""

from __future__ import annotations

import asyncio
import sys
import time

import httpx
import orjson
import uvloop

AT_A_TIME = 16


async def main(url: str, token: str, count: int) -> None:
    """Call, decode, forget."""
    async with httpx.AsyncClient(headers={"Authorization": token}) as http:

        async def some(calls: int) -> None:
            for _ in range(calls):
                orjson.loads((await http.get(url)).raise_for_status().content)

        await some(10)
        used = time.process_time()
        await asyncio.gather(*(some(count // AT_A_TIME) for _ in range(AT_A_TIME)))
        print((time.process_time() - used) / (count // AT_A_TIME * AT_A_TIME) * 1e6)  # noqa: T201  its one answer


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
