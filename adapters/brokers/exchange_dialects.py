"""In what exchanges differ where `ccxt` does not make them one."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from adapters.brokers.exchange_answers import Answer
from adapters.brokers.exchange_connection import ExchangeName
from domain.orders import OrderType


class Dialect(NamedTuple):
    """An exchange's own ways.

    Parameters
    ----------
    types
        The order types that are one order there for all of its life.
    account, number_at
        The question that tells the account's number, and its place in the answer.
    balances_at
        Where balances stand in the answer that tells them.
    page
        Most fills in one answer.
    following
        What asks for the fills after those of a page.
    most_open
        Open orders of a pair in one answer, from which on some may be missing.
    """

    types: frozenset[OrderType]
    account: str
    number_at: tuple[str | int, ...]
    balances_at: tuple[str | int, ...]
    page: int
    following: Callable[[Sequence[Answer]], dict[str, str]]
    most_open: int


DIALECTS: Mapping[ExchangeName, Dialect] = {
    "binance": Dialect(
        types=frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT}),
        account="privateGetAccount",
        number_at=("uid",),
        balances_at=("info", "balances"),
        page=1000,
        following=lambda fills: {"fromId": str(max(int(fill["id"]) for fill in fills) + 1)},
        most_open=1000,
    ),
    "okx": Dialect(
        types=frozenset({OrderType.MARKET, OrderType.LIMIT}),  # a stop becomes another order
        account="privateGetAccountConfig",
        number_at=("data", 0, "uid"),
        balances_at=("info", "data", 0, "details"),
        page=100,
        following=lambda fills: {"after": str(min(int(f["info"]["billId"]) for f in fills))},
        most_open=100,
    ),
}
