"""A Valkey of our own: its append-only file survives restarts, a Unix socket is its only door.

Each producer has a user of its own there, who may do no more than its part (`redis_access`).
"""

import logging
import signal

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from adapters.bus.redis_access import access_list
from adapters.embedded.bus_users import BusUsers
from adapters.embedded.places import Places
from adapters.embedded.programs import find_valkey, within_reach

_DAMAGED = "Bad file format reading the append only file"

_logger = logging.getLogger(__name__)


class Valkey:
    """The bus's server; a `Server`.

    It is transport, never the record: a damaged file is set aside and the bus starts empty.
    """

    name: str = "valkey"
    end_signal: int = signal.SIGTERM

    def __init__(self, places: Places) -> None:
        self._places = places
        self._data = places.state / "valkey"
        self._socket = places.sockets / "valkey.sock"

    @property
    def url(self) -> str:
        """Address of the server's owner, who may do everything."""
        return BusUsers.made(self._places.control, self._socket).url()

    def prepare(self) -> list[str]:
        """Make its folder and return the server's command."""
        self._places.give_to_account(self._data)
        users = BusUsers.made(self._places.control, self._socket)
        access = self._data / "users.acl"
        access.write_text(access_list(users.passwords))
        self._places.give_file_to_account(access)
        copies = self._places.give_to_account(self._places.state / "programs")
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "aclfile": str(access),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "logfile": "",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [str(within_reach(find_valkey(), self._places.account, copies)), *flags]

    def answers(self) -> bool:
        """Whether it answers a ping; it does not while it loads its file."""
        users = BusUsers.read(self._places.control)
        if users is None:
            return False
        client = redis.Redis.from_url(users.url(), socket_timeout=2, retry=Retry(NoBackoff(), 0))
        try:
            return bool(client.ping())
        except (redis.RedisError, OSError):
            return False
        finally:
            client.close()

    def mend(self, log: str) -> bool:
        """Set a damaged file aside."""
        if _DAMAGED not in log:
            return False
        number = sum(1 for _ in self._places.state.glob("valkey.damaged-*")) + 1
        aside = self._data.with_name(f"valkey.damaged-{number}")
        self._data.rename(aside)
        _logger.warning(
            "The bus's file was damaged; it is kept in %s, the bus starts empty.", aside
        )
        return True
