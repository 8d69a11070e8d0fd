"""How an address is secured, decided from its text: which host is this machine, what is verified, what is refused."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from schema.address import MODES, broker_fault, database_fault, distrust, hosts, is_local, secured

HUSH = "HushHush"
LOCAL = ("localhost", "127.0.0.1", "127.8.9.10", "[::1]")
REMOTE = (
    "db", "db.example", "localhost.example", "127.0.0.1.example", "10.0.0.7", "[fd00::1]", "[::ffff:10.0.0.7]",
    "2130706433", "127.1",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nobodys_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No certificates and no wishes of whoever runs the tests."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PGSSLMODE", "PGSSLROOTCERT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("host", LOCAL)
def test_this_machine_is_spoken_to_as_ever(host: str) -> None:
    """Loopback is nobody's network: no certificate is asked for, and the broker may be spoken to in the clear."""
    assert is_local(host.strip("[]"))
    assert secured(f"postgresql://kb:{HUSH}@{host}:5432/kb")["ssl"] is None
    assert secured(f"postgresql://kb:{HUSH}@{host}/kb")["ssl"] is None
    assert broker_fault(f"amqp://kb:{HUSH}@{host}:5672/") is None


@pytest.mark.parametrize("host", REMOTE)
def test_elsewhere_everything_is_verified(host: str) -> None:
    """Any other host, and any spelling that only might be this one: a verified certificate, or a refusal."""
    context = secured(f"postgresql://kb:{HUSH}@{host}:5432/kb")["ssl"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    fault = broker_fault(f"amqp://kb:{HUSH}@{host}:5672/")
    assert fault is not None
    assert "amqps://" in fault
    assert "?sslmode=disable" in fault
    assert HUSH not in fault
    assert broker_fault(f"amqps://kb:{HUSH}@{host}/") is None
    assert broker_fault(f"amqp://kb:{HUSH}@{host}:5672/vhost?heartbeat=5&sslmode=disable") is None


def test_where_the_driver_goes_is_where_we_look() -> None:
    """Sockets, several hosts, hosts in the query and in user names: as the driver of PostgreSQL reads them."""
    assert hosts("postgresql://postgres@/postgres?host=/run/kb") == ["/run/kb"]
    assert hosts("postgresql://%2Frun%2Fkb/kb") == ["/run/kb"]
    assert hosts("postgresql://a@b@c:1/kb") == ["c"]
    assert hosts("postgresql://kb@[fd00::1]:5432,db2/kb") == ["fd00::1", "db2"]
    assert hosts("postgresql://kb@db/kb?host=localhost") == ["db"]
    assert hosts("postgresql:///kb?host=localhost,db.example") == ["localhost", "db.example"]
    assert hosts("postgresql:///kb") == []
    assert secured("postgresql://kb@/kb?host=/run/kb")["ssl"] is None
    for somewhere in ("localhost,db.example/kb", "/kb?host=localhost,db.example", "/kb"):
        assert secured(f"postgresql://kb@{somewhere}")["ssl"] is not None


def test_the_address_itself_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any sslmode in it, else libpq's own variable; an authority is the driver's."""
    url = "postgresql://kb@db.example/kb"
    for mode in MODES[:-1]:
        assert secured(f"{url}?sslmode={mode}")["ssl"] == mode
    assert secured(f"{url}?sslrootcert=/etc/ca.pem")["ssl"] == "verify-full"
    assert secured("postgresql://kb@localhost/kb?sslmode=verify-full&sslrootcert=/etc/ca.pem")["ssl"] == "verify-full"
    for system in ("sslrootcert=system", "sslmode=verify-full"):
        assert isinstance(secured(f"{url}?{system}")["ssl"], ssl.SSLContext)
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql/root.crt").touch()
    assert secured(url)["ssl"] == "verify-full"
    monkeypatch.setenv("PGSSLMODE", "require")
    assert secured(url)["ssl"] == "require"
    assert secured(f"{url}?sslmode=disable")["ssl"] == "disable"


def test_what_cannot_work_is_said_at_once(tmp_path: Path) -> None:
    """An unknown mode, a file that is not there, an authority that is nobody; and the address is not quoted."""
    there = tmp_path / "ca.pem"
    there.touch()
    for database in ("sslmode=off", f"sslrootcert={tmp_path}/{HUSH}", "sslmode=verify-ca", f"sslkey={HUSH}"):
        fault = database_fault(f"postgresql://kb:{HUSH}@db.example/kb?{database}")
        assert fault is not None
        assert HUSH not in fault
    for broker in ("sslmode=require", f"cafile={tmp_path}/{HUSH}", f"certfile={HUSH}"):
        fault = broker_fault(f"amqps://kb:{HUSH}@mq.example/?{broker}")
        assert fault is not None
        assert HUSH not in fault
    for fine in (
        "",
        f"sslrootcert={there}",
        f"sslmode=verify-ca&sslrootcert={there}",
        "sslrootcert=system",
        "sslmode=require",
    ):
        assert database_fault(f"postgresql://kb@db.example/kb?{fine}") is None
    assert broker_fault(f"amqps://kb@mq.example/?cafile={there}") is None


@pytest.mark.timeout(5)
def test_errors_that_led_to_each_other_have_an_end() -> None:
    """A driver that raises the same errors again links them in a ring; asking whether TLS was it must not go round."""
    first, second = ConnectionError("reset"), RuntimeError("closed")
    first.__context__, second.__cause__ = second, first
    assert distrust(first, authority="cafile") is None
    second.__cause__ = ssl.SSLError("wrong version number")
    advice = distrust(first, authority="cafile")
    assert advice is not None
    assert "sslmode=disable" in advice
