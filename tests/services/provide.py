"""Gives a command a real RabbitMQ and a real PostgreSQL: `python -m tests.services.provide [--workers N] COMMAND...`.

Takes each from AMQP_URL / DATABASE_URL if set; else starts what this machine has installed or its Docker engine
runs; else, as root on Debian or Ubuntu, installs the packages; else says in one line what to install.
In the same way it sees to it that there is a Chromium, whose path is CHROMIUM, and Node.js with its packages; without
the latter it goes on, and says why.
With RABBITMQ_VERSION=4 only a RabbitMQ 4 will do; where there is none, root makes a folder with it
(`tests.services.trixie`).
With `--workers`, a RabbitMQ that was started for this run has a virtual host for each of N workers: AMQP_URLS, with
spaces between.
Only the standard library, so that it also runs where nothing is installed yet.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from urllib.parse import urlsplit

from tests.services import chromium, node, trixie
from tests.services.packages import install
from tests.services.postgres import PostgresServer
from tests.services.rabbitmq import RabbitMQServer, asked
from tests.services.server import Server, ServiceError

SERVICES: dict[str, tuple[type[Server], int]] = {
    "AMQP_URL": (RabbitMQServer, 5672),
    "DATABASE_URL": (PostgresServer, 5432),
}


@contextlib.contextmanager
def services(workers: int = 0) -> Iterator[dict[str, str]]:
    """AMQP_URL and DATABASE_URL of servers that serve, the ones started for it end with the block; and CHROMIUM."""
    urls = {"AMQP_URLS": ""}
    for variable, (kind, port) in SERVICES.items():
        if url := os.environ.get(variable):
            urls[variable] = _given(variable, url, kind, port)
    servers = _servers([variable for variable in SERVICES if variable not in urls])
    urls["CHROMIUM"] = chromium.find_chromium()
    _prepare_node()
    try:
        with ThreadPoolExecutor() as pool:
            try:
                list(pool.map(lambda server: server.start(), servers.values()))
            except BaseException:  # let no other start be waited for
                for server in servers.values():
                    server.host.kill()
                raise
        for variable, server in servers.items():
            urls[variable] = server.url
            _say(f"{server.product}: {server.origin}, started for this run at {server.url}")
            if workers and isinstance(server, RabbitMQServer):
                urls["AMQP_URLS"] = " ".join(server.add_virtual_hosts(workers))
        yield urls
    finally:
        for server in servers.values():
            with contextlib.suppress(ServiceError):  # close kills what does not stop
                server.stop()
            server.close()


def main() -> int:
    """Runs the command with both servers at hand; its exit code, or 1 with one line when there are none."""
    options = argparse.ArgumentParser(prog="python -m tests.services.provide")
    options.add_argument("--workers", type=int, default=0, metavar="N", help="a virtual host for each of them")
    options.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND...")
    given = options.parse_args()
    if not given.command:
        options.error("a command is missing")
    signal.signal(signal.SIGTERM, _interrupt)  # as Ctrl-C: servers that are starting end, too
    try:
        with services(given.workers) as urls:
            return _run(given.command, dict(os.environ) | urls)
    except ServiceError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _servers(variables: list[str]) -> dict[str, Server]:
    """A server for each variable, not started yet; what packages are missing is installed if that may be done."""
    found = {variable: SERVICES[variable][0].find() for variable in variables}
    if asked() and found.get("AMQP_URL", True) is None:
        _say(f"making {trixie.FOLDER.name} (no RabbitMQ {asked()} here)")
        trixie.make()
        found["AMQP_URL"] = RabbitMQServer.find()
    kinds = [SERVICES[variable][0] for variable, server in found.items() if server is None]
    absent = {kind.product: kind.packages for kind in kinds}
    if chromium.find() is None:
        absent[chromium.PRODUCT] = chromium.PACKAGES
    if absent:
        packages = [package for needed in absent.values() for package in needed]
        if os.geteuid() == 0 and shutil.which("apt-get"):
            _say(f"installing {' '.join(packages)} (no {' and no '.join(absent)} here)")
            install(packages)
        found |= {variable: SERVICES[variable][0].find() for variable, server in found.items() if server is None}
    servers = {variable: server for variable, server in found.items() if server}
    for variable in variables:
        if variable not in servers:
            kind = SERVICES[variable][0]
            raise ServiceError(f"the tests need {kind.product}: {kind.mend}, start Docker, or set {variable}")
    return servers


def _prepare_node() -> None:
    """Only some tests need it: they skip where it cannot be had."""
    if not node.installed():
        _say("installing the packages of the subscriber in Node")
    try:
        node.prepare()
    except ServiceError as error:
        _say(f"no Node.js with its packages, whose tests skip: {error}")


def _given(variable: str, url: str, kind: type[Server], default_port: int) -> str:
    """The URL from the environment, once something answers there."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or default_port
    except ValueError as error:
        raise ServiceError(f"{variable} is not a URL: {error}; correct or unset it") from None
    if host:  # without one it names a local socket
        try:
            socket.create_connection((host, port), timeout=5).close()
        except OSError as error:
            raise ServiceError(f"nothing answers at {variable} ({host}:{port}): {error}; start or unset it") from None
    _say(f"{kind.product}: {variable} from the environment ({host or 'local socket'}:{port})")
    return url


def _run(command: list[str], env: dict[str, str]) -> int:
    """The command's exit code. SIGINT and SIGTERM reach it as Ctrl-C, so that it tidies up, and it has 60 s to."""
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _frame: FrameType | None) -> None:
        running = child
        if running is None:
            raise KeyboardInterrupt
        if number == signal.SIGTERM or not _in_foreground():  # a terminal's Ctrl-C has reached it already
            running.send_signal(signal.SIGINT)
        signal.signal(signal.SIGALRM, lambda *_: running.kill())
        signal.alarm(60)

    signal.signal(signal.SIGINT, pass_on)  # before the child starts: it must not inherit an ignored SIGINT
    signal.signal(signal.SIGTERM, pass_on)
    child = subprocess.Popen(command, env=env)
    code = child.wait()
    signal.alarm(0)
    return code if code >= 0 else 128 - code


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.stdin is None:  # closed: the next file opened must not take its place
        os.open(os.devnull, os.O_RDONLY)
    sys.exit(main())
