"""An OpenID provider as it is configured: whom we believe, and what we are to it. Pure.

Apart from what speaks to it, so that programs which only read the configuration load no web framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BACK: Final = "/sign-in/back"
"""The path that a provider must be told as where to send browsers back to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Whom we believe.

    Attributes:
        issuer: its address, exactly as its tokens say it.
        audience: what its tokens for us name.
        scope_claim: where the scopes are; for the default also `scp`, if there is no `scope`.
        org_claim: where the organisation is. A token without it is refused; None = not restricted.
    """

    issuer: str
    audience: str
    scope_claim: str = "scope"
    org_claim: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What we are to the provider.

    Attributes:
        secret: None = a public client, which PKCE alone protects.
        gallery_url: where browsers reach the gallery.
    """

    client_id: str
    secret: str | None
    gallery_url: str

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends browsers back to."""
        return self.gallery_url.rstrip("/") + BACK
