"""One alias move at a time: MLflow has no compare-and-set of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from adapters.locks import owned_lock
from domain.errors import RecordUnavailable

_PATIENCE_SECONDS = 120.0


@contextmanager
def alias_lock(name: str, folder: Path, ledger_url: str) -> Iterator[None]:
    """Hold the lock of a registered model.

    A lock file guards this machine; where a ledger is there, PostgreSQL's advisory lock guards
    all machines too. Always in this order, so that holders with and without a ledger exclude
    each other on one machine.
    """
    with owned_lock(
        folder / f"{name}.lock", patience_seconds=_PATIENCE_SECONDS, purpose="moving an alias"
    ):
        if not ledger_url.startswith("postgresql"):
            yield
            return
        import psycopg  # noqa: PLC0415 - only where a ledger is there

        url = ledger_url.replace("postgresql+psycopg://", "postgresql://", 1)
        try:
            connection = psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError as problem:
            raise RecordUnavailable(
                f"The ledger can't be asked for the lock on {name}: {problem}.",
                kept="No alias was moved.",
                next_step="Start PostgreSQL, or look at QUORUM_LEDGER_URL.",
            ) from None
        with connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (crc32(name.encode()),))
            yield  # closing the session releases the lock, also when this process dies
