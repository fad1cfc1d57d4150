"""The record: in PostgreSQL, and in memory for simulations and backtests."""

from adapters.ledger.memory import MemoryLedger
from adapters.ledger.migration import migrate
from adapters.ledger.postgres import PostgresLedger
from adapters.processes.software import software_of
from domain.errors import ConfigurationError
from domain.ports.ledger import Ledger
from domain.settings import Settings

__all__ = ["MemoryLedger", "PostgresLedger", "migrate", "open_ledger"]


def open_ledger(settings: Settings) -> Ledger:
    """Return the ledger that the settings point at; it connects on first use.

    Raises
    ------
    ConfigurationError
        If no address is set: see `adapters.profile.connected`.
    """
    url = settings.ledger_url.get_secret_value()
    if url.startswith("memory://"):
        return MemoryLedger(software=software_of(settings))
    if not url:
        raise ConfigurationError(
            "QUORUM_LEDGER_URL is not set.",
            next_step="Set it to your PostgreSQL server, or use the embedded profile.",
        )
    return PostgresLedger(
        url,
        portfolio_url=settings.portfolio_url.get_secret_value(),
        software=software_of(settings),
    )
