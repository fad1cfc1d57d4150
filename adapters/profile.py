"""Settings that are connected: where a profile leaves an address open, the part is brought up."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from domain.errors import ConfigurationError, EnvironmentProblem
from domain.producers import Producer
from domain.settings import Profile, Settings

if TYPE_CHECKING:  # it imports the driver of PostgreSQL, which agents never need
    from adapters.embedded.servers import ServerName

_LEDGER_SCHEME = "postgresql+psycopg://"
_BUS_SCHEMES = ("redis://", "rediss://", "unix://", "amqp://", "amqps://")


@contextmanager
def connected(
    settings: Settings,
    *,
    servers: "Sequence[ServerName]" = ("postgres", "valkey"),
    producer: Producer | None = None,
) -> Iterator[Settings]:
    """Return (for the block) the settings with the addresses of bus, ledger and MLflow filled in.

    The embedded profile starts or adopts the servers whose address is not set and leaves them
    at the end of the block; the other profiles only check that the addresses were given.

    Parameters
    ----------
    settings
        As read from the environment.
    servers
        The servers that the block needs.
    producer
        As whom the embedded bus is used; None as its owner, who may do everything.

    Raises
    ------
    ConfigurationError
        If an address is missing or of the wrong kind.
    EnvironmentProblem
        If a server can't be started on this machine.
    """
    given: dict[ServerName, str] = {
        "valkey": settings.bus_url,
        "postgres": settings.ledger_url.get_secret_value(),
    }
    missing: list[ServerName] = [name for name in servers if not given[name]]
    _check_schemes(given)
    if settings.profile is not Profile.EMBEDDED:
        _demand_addresses(settings, missing)
        yield _with_tracking(settings)
    elif not missing:
        yield _with_tracking(settings)
    else:
        from adapters.embedded import EmbeddedServers  # noqa: PLC0415 - as above

        with EmbeddedServers(settings.home, missing) as endpoints:
            filled = settings.model_copy(
                update={
                    "bus_url": settings.bus_url or endpoints.bus_url,
                    "ledger_url": SecretStr(given["postgres"] or endpoints.ledger_url),
                }
            )
            yield _with_tracking(acting_as(filled, producer) if producer else filled)


def acting_as(settings: Settings, producer: Producer) -> Settings:
    """Return connected settings with a producer's own user of the embedded bus.

    A bus of yours is left as the settings say: its address names the user.
    """
    from adapters.embedded.bus_users import BusUsers  # noqa: PLC0415 - as above

    users = BusUsers.read(settings.home.absolute() / "servers")
    if users is None or settings.bus_url != users.url():
        return settings
    return settings.model_copy(update={"bus_url": users.url(producer)})


def _check_schemes(given: "dict[ServerName, str]") -> None:
    if given["postgres"] and not given["postgres"].startswith(_LEDGER_SCHEME):
        raise ConfigurationError(
            "QUORUM_LEDGER_URL does not name its driver.",
            next_step=f"Write it as {_LEDGER_SCHEME}user:password@host/database.",
        )
    if given["valkey"] and not given["valkey"].startswith(_BUS_SCHEMES):
        raise ConfigurationError(
            f"QUORUM_BUS_URL begins with {given['valkey'].split(':', 1)[0]!r}: no bus speaks that.",
            next_step=f"Begin it with one of {', '.join(_BUS_SCHEMES)}.",
        )


def _demand_addresses(settings: Settings, missing: "Sequence[ServerName]") -> None:
    variables: dict[ServerName, str] = {
        "valkey": "QUORUM_BUS_URL",
        "postgres": "QUORUM_LEDGER_URL",
    }
    names = [variables[name] for name in missing]
    if settings.profile is Profile.CLUSTER and not settings.mlflow_tracking_uri:
        names.append("QUORUM_MLFLOW_TRACKING_URI")
    if names:
        raise ConfigurationError(
            f"The {settings.profile} profile uses your own servers, but "
            f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} not set.",
            next_step="Set it, or use QUORUM_PROFILE=embedded, which needs none.",
        )


def _with_tracking(settings: Settings) -> Settings:
    if settings.mlflow_tracking_uri:
        return settings
    return settings.model_copy(
        update={"mlflow_tracking_uri": _local_tracking_uri(settings.home.absolute())}
    )


def _local_tracking_uri(home: Path) -> str:
    folder = home / "mlflow"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise EnvironmentProblem(
            f"The folder {folder} can't be made: {problem.strerror}.",
            next_step="Set QUORUM_HOME to a folder that you may write to.",
        ) from None
    return f"sqlite:///{folder / 'mlflow.db'}"
