"""How several workers share the suite: `pytest --numprocesses N`. Without that option nothing here has any effect.

Each test goes to whoever is free, except that the tests of a file which share a server stay together, so that it is
started once. Files that start servers of their own take longest; begun last, one would be waited for alone: they come
first, and the tests of the whole before those of a part.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling, Scheduling

ROOT = Path(__file__).parents[1]
OWN_SERVERS = ("find_rabbitmq", "find_postgres")
"""Words of a file that starts servers of its own."""


def broker() -> str | None:
    """The worker's own virtual host; None where there are none, because the broker is not ours or we are alone."""
    hosts, worker = hosts_made(), os.environ.get("PYTEST_XDIST_WORKER")
    return hosts[int(worker.removeprefix("gw"))] if worker and hosts else None


def hosts_made() -> list[str]:
    """The virtual hosts that `tests.services.provide` made for the workers."""
    return os.environ.get("AMQP_URLS", "").split()


@functools.cache
def text(path: str) -> str:
    """What a file of tests says."""
    return (ROOT / path).read_text()


def has_servers(path: str) -> bool:
    """Whether the tests of a file start servers of their own."""
    return any(word in text(path) for word in OWN_SERVERS)


def together(path: str) -> str | None:
    """The name of what the tests of a file must not do at once in several workers; None when they may."""
    if not hosts_made() and "amqp_url" in text(path):
        return "the one broker"
    return path if has_servers(path) or 'scope="module"' in text(path) else None


class Sharing(LoadScopeScheduling):  # type: ignore[misc]  # it is without types
    """Gives out single tests, and files whose tests belong together as a whole."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid.partition("::")[0]) or nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: Sequence[object]) -> None:
    """More workers than virtual hosts: all use the one broker, in turn. They inherit the environment."""
    if len(specs) > len(hosts_made()):
        os.environ.pop("AMQP_URLS", None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """See the module."""
    return Sharing(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, in each worker alike; someone who runs them alone has them in their order."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: _place(item.nodeid.partition("::")[0]))


def _place(path: str) -> tuple[bool, bool, int]:
    return not has_servers(path), together(path) is None, path.count("/") if has_servers(path) else 0
