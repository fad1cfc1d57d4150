"""Where a Redis or Valkey server is, as its URL says it."""

import ssl
from typing import NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

from domain.errors import ConfigurationError

_PORT = 6379


class _Scheme(NamedTuple):
    local: bool
    encrypted: bool


_SCHEMES = {
    "redis": _Scheme(local=False, encrypted=False),
    "rediss": _Scheme(local=False, encrypted=True),
    "unix": _Scheme(local=True, encrypted=False),
}


class RedisAddress(NamedTuple):
    """A server, and who we are to it.

    Parameters
    ----------
    host, port
        Where it listens; `path` is empty.
    path
        Its Unix socket; `host` is empty.
    username, password
        Empty where it asks for none.
    database
        Number of the key space.
    encrypted
        Whether the connection is TLS; `authorities` is a file of certificates to trust, or empty.
    """

    host: str
    port: int
    path: str
    username: str
    password: str
    database: int
    encrypted: bool
    authorities: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Return what ``redis://``, ``rediss://`` or ``unix://`` URLs say.

        ``?db=``, ``?username=``, ``?password=`` and ``?ssl_ca_certs=`` are understood.

        Raises
        ------
        ConfigurationError
            If it is not such a URL.
        """
        try:
            parts = urlsplit(url)
            scheme = _SCHEMES[parts.scheme]
            options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            local = scheme.local
            number = options.get("db") or ("" if local else parts.path.strip("/")) or "0"
            return cls(
                host="" if local else unquote(parts.hostname or "localhost"),
                port=parts.port or _PORT,
                path=unquote(parts.path) if local else "",
                username=unquote(parts.username or options.get("username", "")),
                password=unquote(parts.password or options.get("password", "")),
                database=int(number),
                encrypted=scheme.encrypted,
                authorities=options.get("ssl_ca_certs", ""),
            )
        except (KeyError, ValueError):
            raise ConfigurationError(
                "QUORUM_BUS_URL is not the address of a Redis or Valkey server.",
                next_step="Set it to redis://user:password@host:port/database, rediss:// or "
                "unix:///path/to/socket.",
            ) from None

    def __str__(self) -> str:
        """Return the address without who we are."""
        if self.path:
            return f"unix://{self.path}"
        return f"{'rediss' if self.encrypted else 'redis'}://{self.host}:{self.port}"

    def tls(self) -> ssl.SSLContext | None:
        """Return how to encrypt, None where the connection is not encrypted."""
        if not self.encrypted:
            return None
        return ssl.create_default_context(cafile=self.authorities or None)

    def greeting(self) -> list[tuple[str | int, ...]]:
        """Return the commands that a new connection begins with."""
        commands: list[tuple[str | int, ...]] = []
        if self.password:
            who = (self.username,) if self.username else ()
            commands.append(("AUTH", *who, self.password))
        if self.database:
            commands.append(("SELECT", self.database))
        return commands
