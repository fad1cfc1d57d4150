"""The cache of last values on Redis or Valkey: one hash a value, compared and set by a script."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import redis
import redis.exceptions as redis_errors

from domain.errors import EnvironmentProblem
from domain.ports.latest import Cached, Kind

_SOCKET_SECONDS = 2.0
#: KEYS: one a value. ARGV: time to live in ms, then version and data of each.
_PUT = """
local kept = 0
for place, key in ipairs(KEYS) do
    local version = ARGV[2 * place]
    local known = redis.call('HGET', key, 'version')
    if not known or tonumber(known) <= tonumber(version) then
        redis.call('HSET', key, 'version', version, 'data', ARGV[2 * place + 1])
        redis.call('PEXPIRE', key, ARGV[1])
        kept = kept + 1
    end
end
return kept
"""


class RedisCache:
    """A `LatestCache`; the value of symbol `s` is the hash ``quorum:latest:<ledger>:<kind>:s``.

    Parameters
    ----------
    url
        ``redis://``, ``rediss://`` or ``unix://``.
    ledger
        Names the ledger that the values come from: versions of another one mean nothing here.
    """

    def __init__(self, url: str, *, ledger: str, time_to_live_seconds: float) -> None:
        self._prefix = f"quorum:latest:{ledger}"
        self._client = redis.Redis.from_url(
            url, socket_timeout=_SOCKET_SECONDS, socket_connect_timeout=_SOCKET_SECONDS
        )
        self._put = self._client.register_script(_PUT)
        self._time_to_live_ms = round(time_to_live_seconds * 1000)

    def put(self, values: Sequence[Cached]) -> None:
        """See `LatestCache.put`."""
        if values:
            arguments = [part for v in values for part in (v.version, v.data)]
            with _available():
                self._put(
                    keys=[self._key(v.kind, v.symbol) for v in values],
                    args=[self._time_to_live_ms, *arguments],
                )

    def get(self, kind: Kind, symbols: Sequence[str]) -> Mapping[str, Cached]:
        """See `LatestCache.get`."""
        with _available(), self._client.pipeline(transaction=False) as pipeline:
            for symbol in symbols:
                pipeline.hmget(self._key(kind, symbol), ["version", "data"])
            answers = cast("list[list[Any]]", pipeline.execute())
        return {
            symbol: Cached(kind=kind, symbol=symbol, version=int(version), data=data)
            for symbol, (version, data) in zip(symbols, answers, strict=True)
            if version is not None
        }

    def close(self) -> None:
        """See `LatestCache.close`."""
        self._client.close()

    def _key(self, kind: Kind, symbol: str) -> str:
        return f"{self._prefix}:{kind}:{symbol}"


@contextmanager
def _available() -> Generator[None]:
    try:
        yield
    except (redis_errors.RedisError, OSError) as problem:
        raise EnvironmentProblem(
            f"The cache can't be used: {problem}.",
            kept="It holds nothing that the projections don't.",
            next_step="Nothing: readers ask the projections; see that Redis or Valkey runs.",
        ) from problem
