"""Reservations in a database of the portfolio's own: the second party of a two-phase commit.

The record's database is the coordinator. One commit takes four steps:

1. here the reservations are written and prepared (`tpc_prepare`);
2. in the record one transaction writes the order intents and that this commit is decided;
3. here the prepared transaction is committed (`tpc_commit`);
4. with the record's next transaction the decision is forgotten.

Whatever is cut off before 2 is undone, whatever is cut off behind it is finished (`resolve`), so
there is never a reservation without an intent, nor the reverse.
"""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import NamedTuple

import psycopg

from adapters.ledger import statements as parts
from adapters.ledger.addresses import driver_address
from adapters.ledger.sessions import DROP_PRIVILEGES
from domain.ports.ledger import Reservation

#: Tells our transactions from those of others in the same server.
_FORMAT = 0x5175
#: How long a row may be held by a transaction in doubt, before doubt is resolved again.
_OPTIONS = "-c lock_timeout=5s"


class Transaction(NamedTuple):
    """One two-phase commit of one partition's writer; `str` is what the coordinator records."""

    log: str
    partition: int
    token: int
    revision: int

    def __str__(self) -> str:
        return f"{self.token}/{self.revision}"

    @property
    def place(self) -> str:
        """The partition, as the transaction's branch names it."""
        return f"{self.log}/{self.partition}"


class PortfolioDatabase:
    """One writer's session with the portfolio's database.

    Parameters
    ----------
    url
        Its address; it has the schema of the ledger.
    """

    def __init__(self, url: str, *, connect_timeout_seconds: int = 5) -> None:
        self._address = driver_address(url)
        self._timeout = connect_timeout_seconds
        self._connection: psycopg.AsyncConnection | None = None

    async def prepare(self, which: Transaction, reservations: Sequence[Reservation]) -> None:
        """Write the reservations, durable and not yet seen."""
        connection = await self._session()
        try:
            await connection.tpc_begin(_xid(connection, which))
            for text, parameters in reserving((which.log, which.partition), reservations):
                await connection.execute(f"WITH {text} SELECT", parameters)
            await connection.tpc_prepare()
        except BaseException:
            await self.close()
            raise

    async def commit(self) -> None:
        """Let what this session prepared last be seen."""
        if self._connection is None or self._connection.closed:
            raise psycopg.OperationalError("the session that prepared is gone")
        try:
            await self._connection.tpc_commit()
        except BaseException:
            await self.close()
            raise

    async def resolve(self, latest: Transaction, decided: Collection[str]) -> None:
        """Finish what was decided and undo the rest, of this partition's present and past writers.

        Parameters
        ----------
        latest
            The newest transaction that may be in doubt; those of later writers are their own.
        decided
            What the coordinator has on record.
        """
        await self.close()  # a session that has prepared can't speak of other transactions
        connection = await self._session()
        try:
            for xid in await connection.tpc_recover():
                ours = xid.format_id == _FORMAT and xid.bqual == latest.place
                if xid.database != connection.info.dbname or not ours:
                    continue
                if int(xid.gtrid.partition("/")[0]) > latest.token:
                    continue
                if xid.gtrid in decided:
                    await connection.tpc_commit(xid)
                else:
                    await connection.tpc_rollback(xid)
        except BaseException:
            await self.close()
            raise

    async def reservations(self, log: str, partition: int) -> dict[str, Decimal]:
        """Return client order id → capital (USD)."""
        connection = await self._session()
        try:
            cursor = await connection.execute(RESERVATIONS, (log, partition))
            rows = await cursor.fetchall()
            await connection.rollback()
        except BaseException:
            await self.close()
            raise
        return dict(rows)

    async def close(self) -> None:
        """End the session; what is prepared outlives it."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()

    async def _session(self) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed:
            connection = await psycopg.AsyncConnection.connect(
                self._address,
                connect_timeout=self._timeout,
                autocommit=True,
                options=_OPTIONS,
            )
            await connection.execute(DROP_PRIVILEGES)
            await connection.set_autocommit(False)
            self._connection = connection
        return self._connection


RESERVATIONS = """
    SELECT client_order_id, amount FROM ledger.reservations
    WHERE log = %s AND partition = %s ORDER BY client_order_id
"""


def reserving(own: tuple[str, int], reservations: Sequence[Reservation]) -> list[parts.Part]:
    """Return how reservations are written: what is held, and what is no longer."""
    held = {r.client_order_id: r.amount for r in reservations if r.amount}
    over = [r.client_order_id for r in reservations if not r.amount]
    written: list[parts.Part] = []
    if held:
        written.append((parts.RESERVE, (*own, list(held), list(held.values()))))
    if over:
        written.append((parts.RELEASE, (*own, over)))
    return written


def _xid(connection: psycopg.AsyncConnection, which: Transaction) -> psycopg.Xid:
    return connection.xid(_FORMAT, str(which), which.place)
