"""Every producer in one: for tests and benchmarks that play the whole plane around a process."""

from collections.abc import Callable

from adapters.bus import open_bus
from adapters.keys import KeyFolder
from domain.messages import Message, encode
from domain.ports.bus import MessageBus
from domain.producers import SPEAKERS, Producer
from domain.seals import seal
from domain.settings import Settings
from domain.voting import Vote


def sealed_by_its_speaker(settings: Settings) -> Callable[[Message], bytes]:
    """Return what seals each message as the first of those who may say it would."""
    folder = KeyFolder.of(settings)
    secrets: dict[Producer, bytes] = {}

    def sealed(message: Message) -> bytes:
        if isinstance(message, Vote):
            speakers = [Producer(message.agent_id)]
        else:
            speakers = sorted(SPEAKERS.get(type(message).__name__, {Producer.FEED}))
        producer = speakers[0]
        if producer not in secrets:
            secrets[producer] = folder.own(producer)
        return seal(encode(message), secrets[producer])

    return sealed


def open_bus_for_everyone(settings: Settings) -> MessageBus:
    """Open the bus on which each message bears the seal of who may say it."""
    return open_bus(settings, encode=sealed_by_its_speaker(settings))
