"""The message bus: on Redis or Valkey, on RabbitMQ, and in memory for simulations."""

from collections.abc import Callable

from adapters.bus.memory import MemoryBus
from adapters.bus.redis_streams import RedisBus
from domain.errors import ConfigurationError
from domain.messages import Message, encode
from domain.ports.bus import MessageBus
from domain.ports.metrics import Metrics
from domain.settings import Settings


def open_bus(
    settings: Settings,
    metrics: Metrics | None = None,
    *,
    encode: Callable[[Message], bytes] = encode,
) -> MessageBus:
    """Return the bus that the settings point at; it connects on first use.

    Parameters
    ----------
    settings
        Connected settings.
    metrics
        Where lost connections are counted.
    encode
        What makes bytes of a message; of what the consensus or the gateway takes in, one that
        seals (`adapters.keys.sealing`).

    Raises
    ------
    ConfigurationError
        If no address is set: see `adapters.profile.connected`.
    """
    scheme = settings.bus_url.partition("://")[0]
    if scheme == "memory":
        return MemoryBus(encode=encode)
    if scheme in {"redis", "rediss", "unix"}:
        return RedisBus(
            settings.bus_url, maximum_messages=settings.bus.maximum_messages, encode=encode
        )
    if scheme in {"amqp", "amqps"}:
        # Its client takes long to import, and few processes need it.
        from adapters.bus.rabbitmq import RabbitBus  # noqa: PLC0415

        return RabbitBus(settings.bus_url, metrics=metrics, encode=encode)
    raise ConfigurationError(
        "QUORUM_BUS_URL is not set." if not scheme else f"No bus speaks {scheme!r}.",
        next_step="Set it to redis://, rediss://, unix://, amqp:// or amqps://,"
        " or use the embedded profile.",
    )
