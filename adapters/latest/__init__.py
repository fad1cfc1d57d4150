"""The cache of last values: on Redis or Valkey, and in memory."""

from adapters.latest.memory import MemoryCache
from adapters.latest.redis_cache import RedisCache
from adapters.ledger.addresses import database_of
from domain.ports.latest import LatestCache
from domain.settings import Settings

__all__ = ["MemoryCache", "RedisCache", "open_cache"]

_SCHEMES = ("redis://", "rediss://", "unix://")


def open_cache(settings: Settings) -> LatestCache:
    """Return the cache that the settings point at; one that is empty where there is none."""
    own = settings.projections
    url = own.cache_url or settings.bus_url
    if url.startswith(_SCHEMES):
        ledger = database_of(settings.ledger_url.get_secret_value())
        return RedisCache(url, ledger=ledger, time_to_live_seconds=own.cache_time_to_live_seconds)
    return MemoryCache(time_to_live_seconds=own.cache_time_to_live_seconds)
