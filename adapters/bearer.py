"""Bearer tokens over HTTP: when one is needed, which one came, whether it is the right one."""

from hmac import compare_digest
from ipaddress import IPv6Address, ip_address

from pydantic import SecretStr
from starlette.requests import HTTPConnection

from domain.errors import ConfigurationError


def bearer_token(request: HTTPConnection) -> str:
    """Return the token of the request's ``Authorization`` header; empty if there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def is_token(presented: str, token: SecretStr) -> bool:
    """Whether it is the token, in a time that tells nothing; an empty token is nobody's."""
    expected = token.get_secret_value()
    return bool(expected) and compare_digest(presented.encode(), expected.encode())


def is_loopback(host: str) -> bool:
    """Whether an address reaches, or is reached from, this machine only."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def within_loopback(request: HTTPConnection) -> bool:
    """Whether a request came from this machine and to its loopback; unknown ends are not."""
    ends = (request.scope.get("client"), request.scope.get("server"))
    return all(end is not None and is_loopback(end[0]) for end in ends)


def demand_token(host: str, token: SecretStr) -> None:
    """Refuse to let agents listen where others reach them without a token.

    Raises
    ------
    ConfigurationError
        If `host` is not loopback and the token is empty.
    """
    if not is_loopback(host) and not token.get_secret_value():
        raise ConfigurationError(
            f"Agents are to listen on {host}, which is not loopback, and no token is set.",
            next_step="Set QUORUM_SERVING__TOKEN to a long random text, or listen on 127.0.0.1.",
        )
