"""A connection to a crypto exchange by `ccxt`: one question, one answer or a typed error.

`ccxt` knows each exchange's signatures, rate limits and error codes. What it must not decide is
kept from it here: numbers stay as they were written (never binary floats), nothing is sent again
in silence, and what no code explains is taken for no answer.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit, urlunsplit

import ccxt.async_support as ccxt

from adapters.brokers.wire import VenueKeysRefused, unanswered, unusable

ExchangeName = Literal["binance", "okx"]

#: What says that the question was understood and not done, and why.
REFUSED = (
    ccxt.InsufficientFunds,
    ccxt.InvalidOrder,
    ccxt.BadRequest,
    ccxt.OperationRejected,
    ccxt.NotSupported,
)
#: What `ccxt` stumbles over where an answer has another shape than the documented one.
MISREAD = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
_T = TypeVar("_T")


class ExchangeConnection:
    """An exchange's API for play money.

    Parameters
    ----------
    name
        Which exchange.
    key, secret, passphrase
        The keys of an account; public questions need none, and Binance has no passphrase.
    url
        Where the exchange answers instead of at its address for play money.
    timeout_seconds
        Longest wait for one answer, waiting for the rate limit included.
    """

    def __init__(
        self,
        name: ExchangeName,
        key: str = "",
        secret: str = "",
        *,
        passphrase: str = "",
        url: str = "",
        timeout_seconds: float,
    ) -> None:
        self.name: ExchangeName = name
        self._timeout = timeout_seconds
        self.api: Any = getattr(ccxt, name)(
            {
                "apiKey": key,
                "secret": secret,
                "password": passphrase,
                "timeout": int(timeout_seconds * 1000),
                "enableRateLimit": True,
                "has": {"fetchCurrencies": False},  # a question of the account, and not needed
                "options": {
                    "maxRetriesOnFailure": 0,
                    "fetchMarkets": {"types": ["spot"]},
                    "fetchMargins": False,
                },
            }
        )
        self.api.number = str
        self.api.enableLastJsonResponse = True
        self.api.set_sandbox_mode(True)
        if url:
            addresses = self.api.urls["api"]
            self.api.urls["api"] = {name: _moved(at, url) for name, at in addresses.items()}

    async def close(self) -> None:
        """Release the connections."""
        await self.api.close()

    async def list_pairs(self, needed: tuple[str, ...]) -> None:
        """Learn what is traded there, once.

        Raises
        ------
        domain.errors.VenueUnavailable
            If there is no usable answer, or one of `needed` is not listed.
        """
        if self.api.markets:
            return
        await self.clock_offset()
        await self.ask("loadMarkets", self.api.load_markets)
        if missing := [pair for pair in needed if pair not in (self.api.markets or {})]:
            self.api.markets = None
            raise unusable(self.name, f"it does not list {', '.join(missing)}")

    async def clock_offset(self) -> float:
        """Return how far this machine's clock is ahead of the exchange's (seconds).

        The answer's way is halved, as in Cristian's algorithm. From then on questions bear the
        exchange's time.
        """
        return await self.ask("time", self._measure)

    async def ask(self, operation: str, question: Callable[[], Awaitable[_T]]) -> _T:
        """Return the answer to one question.

        A refusal for the rate limit or for the question's time did nothing, so the question is
        asked again, for as long as one may take. Whatever else goes wrong is not tried again here.

        Raises
        ------
        ccxt.BaseError
            One of `REFUSED`.
        VenueKeysRefused
            If the keys are not known.
        domain.errors.VenueUnavailable
            If there is no usable answer.
        """
        measured = False
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    try:
                        return await question()
                    except (ccxt.RateLimitExceeded, ccxt.DDoSProtection):
                        await asyncio.sleep(_until_reset(self.api.last_response_headers))
                    except ccxt.InvalidNonce:
                        if measured:
                            raise
                        measured = True
                        await self._measure()
        except TimeoutError:
            raise unanswered(self.name, operation, f"{self._timeout} s passed") from None
        except ccxt.AuthenticationError:
            raise VenueKeysRefused(
                f"{self.name} does not take the keys that QUORUM_VENUE__KEY, __SECRET and "
                "__PASSPHRASE name.",
                kept="No order was sent.",
                next_step="Keys for play money are made apart from others: see docs/venues.md.",
            ) from None
        except ccxt.OperationFailed as problem:
            raise unanswered(self.name, operation, type(problem).__name__) from None
        except REFUSED:
            raise
        except (ccxt.BaseError, *MISREAD) as problem:
            why = f"{type(problem).__name__} to {operation}: {str(problem)[:200]}"
            raise unusable(self.name, why) from None

    async def _measure(self) -> float:
        theirs = float(await self.api.fetch_time()) / 1000
        began = self.api.lastRestRequestTimestamp / 1000  # after its turn by the rate limit came
        offset = (began + time.time()) / 2 - theirs
        self.api.options["timeDifference"] = round(offset * 1000)
        return offset


def _moved(address: str, url: str) -> str:
    """Return an address on the server that `url` names."""
    to, parts = urlsplit(url), urlsplit(address)
    return urlunsplit((to.scheme, to.netloc, parts.path, parts.query, ""))


def _until_reset(headers: object) -> float:
    """Return for how long the rate limit lasts, at least a little (seconds)."""
    named = headers if isinstance(headers, dict) else {}
    try:
        wait = float(named.get("Retry-After", "nan"))  # pyright: ignore[reportUnknownArgumentType]
    except ValueError:
        wait = float("nan")
    return wait if 0.05 <= wait < 3600 else 0.5
