"""How the addresses of the two servers are secured: certificates are verified unless the address itself says otherwise.

Promises: to another host than this machine nothing goes in the clear, and no certificate counts unseen, before
somebody wrote so into the address; what is wrong with an address is said without quoting any of it.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
"""What `sslmode` may be, of PostgreSQL; of the broker only the first."""
DATABASE_FILES: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
BROKER_FILES: Final = ("cafile", "certfile", "keyfile")
SYSTEM: Final = "system"
"""As `sslrootcert`: the authorities that this machine trusts, as with libpq."""


def is_local(host: str) -> bool:
    """Whether a host is this machine for certain: a loopback address, `localhost`, or the folder of a socket."""
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def hosts(url: str) -> list[str]:
    """The hosts of a PostgreSQL address, sockets' folders among them; those before the path win, as in the driver."""
    parts = urlsplit(url)
    named = parts.netloc.rpartition("@")[2] or _query(url).get("host", "")
    return [_bare(unquote(host)) for host in named.split(",") if host]


def _bare(host: str) -> str:
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0] if host[0] != "/" else host


def secured(url: str) -> dict[str, Any]:
    """An address of PostgreSQL as arguments of its driver."""
    return {"dsn": url, "ssl": _security(url)}


def _security(url: str) -> ssl.SSLContext | str | None:
    """None = as the driver does it by itself."""
    asked = _query(url)
    if (mode := asked.get("sslmode") or os.environ.get("PGSSLMODE")) is None:
        found = hosts(url)
        if found and all(map(is_local, found)):
            return None
        mode = "verify-full"
    if mode == "verify-full" and _root(asked) == SYSTEM:
        context = ssl.create_default_context()  # the driver itself knows files alone
        if (certificate := asked.get("sslcert")) is not None:
            context.load_cert_chain(certificate, asked.get("sslkey"))
        return context
    return mode


def _root(asked: Mapping[str, str]) -> str | None:
    """The file of the authority; None is the driver's default."""
    root = asked.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    return root or (None if Path("~/.postgresql/root.crt").expanduser().exists() else SYSTEM)


def database_fault(url: str) -> str | None:
    """What is wrong with how an address of PostgreSQL is secured; None if nothing is."""
    asked = _query(url)
    if asked.get("sslmode", MODES[0]) not in MODES:
        return f"has an unknown sslmode; it is one of {', '.join(MODES)}"
    if asked.get("sslmode") == "verify-ca" and _root(asked) == SYSTEM:
        return "has sslmode=verify-ca, which needs sslrootcert=FILE; without an authority of your own take verify-full"
    return _unreadable(asked, DATABASE_FILES)


def broker_fault(url: str) -> str | None:
    """What is wrong with how an AMQP address is secured; None if nothing is."""
    parts, asked = urlsplit(url), _query(url)
    if asked.get("sslmode", MODES[0]) != MODES[0]:
        return "has an sslmode; the only one there is for a broker is disable, and amqps:// is always verified"
    if parts.scheme == "amqp" and "sslmode" not in asked and not is_local(parts.hostname or ""):
        return (
            "would show its password to the network: use amqps://, with ?cafile=FILE if its authority is your own, or "
            "in a network that you trust say so with ?sslmode=disable at its end"
        )
    return _unreadable(asked, BROKER_FILES)


def _unreadable(asked: Mapping[str, str], names: Sequence[str]) -> str | None:
    for name in names:
        if asked.get(name, SYSTEM) != SYSTEM and not os.access(asked[name], os.R_OK):
            return f"names with {name} a file that is not there or cannot be read"
    return None


def _query(url: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}


def distrust(error: BaseException, *, authority: str) -> str | None:
    """What to do about an error of TLS, in one line; None if it is no such error.

    Args:
        error: what a driver raised.
        authority: the parameter of the address that names the file of an authority.
    """
    found = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
    if isinstance(found, ssl.SSLCertVerificationError):
        return (
            f"the server's certificate is not accepted ({found.verify_message.rstrip('.')}); give its authority with "
            f"?{authority}=FILE, and connect by a name that is in the certificate"
        )
    if found is not None or "rejected SSL upgrade" in str(error):
        return (
            "the server does not speak TLS as it should there; turn TLS on at the server, or in a network that you "
            f"trust do without it, which ?sslmode=disable says ({type(found or error).__name__})"
        )
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it, each once: the broker's driver wraps errors, and raises some so often that in the
    end one of them led to itself.
    """
    met: set[int] = set()
    while error is not None and id(error) not in met:
        met.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
