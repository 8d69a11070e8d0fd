"""The promises of the bus on RabbitMQ 4, whatever RabbitMQ the suite runs on: the short form of `make test-rabbitmq4`.

It starts servers of its own (find_rabbitmq; see tests/workers.py).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import trixie
from tests.services.rabbitmq import RabbitMQServer, found_version
from tests.services.server import ServiceError

ROOT = Path(__file__).parents[2]
MAKE_SECONDS, RUN_SECONDS = 120, 150
FILES = ("tests/events/test_bus.py", "tests/events/test_publishing.py")


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    """A RabbitMQ 4 is there and is what is found; one that cannot be had in time is a reason to skip."""
    if found_version().startswith("4."):
        pytest.skip("the whole suite runs on RabbitMQ 4")
    monkeypatch.setenv("RABBITMQ_VERSION", "4")
    try:
        if (found := RabbitMQServer.find()) is None:
            trixie.make(MAKE_SECONDS)
        else:
            found.close()
    except ServiceError as error:
        pytest.skip(str(error))


@pytest.mark.timeout(MAKE_SECONDS + RUN_SECONDS + 60)
@pytest.mark.usefixtures("four")
def test_the_bus_keeps_its_promises_on_rabbitmq_4() -> None:
    """Every test of the bus and of publishing that a RabbitMQ takes part in passes on RabbitMQ 4, too."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AMQP_", "PYTEST_"))}
    python, both = sys.executable, subprocess.STDOUT
    argv = [python, "-m", "tests.services.provide", python, "-m", "pytest", "-q", "-k", "not embedded", *FILES]
    with subprocess.Popen(argv, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=both) as run:
        try:
            said, _ = run.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            run.terminate()  # it ends its servers first
            said, _ = run.communicate()
    assert run.returncode == 0, said
    assert re.search(r"^RabbitMQ: .*\b4\.", said, re.MULTILINE), said
