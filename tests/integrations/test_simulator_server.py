"""The simulator serves in the caller's loop, tells its address, and leaves the process as it found it."""

import asyncio
import signal

import httpx
import pytest

from integrations.clickup.simulator.server import Simulator


async def test_serve_until_cancelled() -> None:
    """serve() tells its address, answers, and on cancelling lets the port go; signal handlers stay untouched."""
    simulator = Simulator(seed=1, token="pk_test")
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(simulator.serve("127.0.0.1", 0, started=address.set_result))
    url = await address
    async with httpx.AsyncClient(headers={"Authorization": "pk_test"}) as http:
        assert (await http.get(f"{url}/v2/user")).status_code == 200
        assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{url}/v2/user")
    await simulator.close()


async def test_taken_port_is_an_error() -> None:
    """A port that is in use raises instead of serving somewhere else."""
    simulator = Simulator(seed=1, token="pk_test")
    async with simulator.serving() as url:
        with pytest.raises(OSError, match="in use"):
            await simulator.serve("127.0.0.1", int(url.rsplit(":", 1)[1].split("/")[0]))
    await simulator.close()


async def test_answers_are_not_delayed() -> None:
    """Requests on one connection are answered at once: thirty take far less than thirty delayed packets would."""
    simulator = Simulator(seed=1, token="pk_test")
    headers = {"Authorization": "pk_test"}
    async with simulator.serving() as url, httpx.AsyncClient(headers=headers) as http:
        began = asyncio.get_running_loop().time()
        for _ in range(30):
            await http.get(f"{url}/v2/team")
        assert asyncio.get_running_loop().time() - began < 0.9
    await simulator.close()
