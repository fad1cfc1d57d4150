"""An account at a venue outside: opened by the settings, checked before anything is sent.

A state folder belongs to one account for good: positions and orders on record are that account's,
and reconciling them with another's would book what never happened.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from adapters.brokers.alpaca import LIVE_URL, PAPER_URL, AlpacaBroker
from adapters.files import write_atomically
from adapters.live_switch import LiveSwitch
from domain.errors import ConfigurationError, EnvironmentProblem
from domain.ports.broker import VenueAccount
from domain.settings import Settings, VenueSettings

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FILE = "venue.json"
#: Venues at which accounts with real money can be opened.
_LIVE_VENUES = ("alpaca",)
_LIVE_HOSTS = (urlsplit(LIVE_URL).hostname, "api.binance.com")
#: Where each venue keeps accounts with play money; OKX tells them apart by a header.
_PAPER_ADDRESSES: Mapping[str, str] = {
    "alpaca": PAPER_URL,
    "binance": "https://testnet.binance.vision",
    "okx": "https://www.okx.com",
}


def outside_broker(settings: Settings) -> VenueAccount | None:
    """Return the account that the settings name; None where orders are filled in this process.

    Raises
    ------
    ConfigurationError
        If keys or pairs are missing, or the address is not that of the money which `live` names.
    """
    venue = settings.venue
    if venue.live and venue.name not in _LIVE_VENUES:
        raise ConfigurationError(
            f"QUORUM_VENUE__LIVE is set, and the venue {venue.name} trades no real money.",
            next_step=f"Name one that does ({', '.join(_LIVE_VENUES)}), or unset it.",
        )
    if venue.name == "paper":
        return None
    key, secret = venue.key.get_secret_value(), venue.secret.get_secret_value()
    if not key or not secret:
        raise ConfigurationError(
            f"The venue {venue.name} has no keys.",
            next_step="Set QUORUM_VENUE__KEY and QUORUM_VENUE__SECRET to those of the account.",
        )
    _demand_address(venue)
    if venue.name == "alpaca":
        return AlpacaBroker(key, secret, _url(venue), timeout_seconds=venue.timeout_seconds)
    if not venue.symbols:
        raise ConfigurationError(
            f"The venue {venue.name} has no pairs to trade.",
            next_step="""Set QUORUM_VENUE__SYMBOLS, such as '["BTC/USDT"]'.""",
        )
    # ccxt takes a second to import, which only its venues shall cost.
    from adapters.brokers.exchange import ExchangeBroker  # noqa: PLC0415
    from adapters.brokers.exchange_connection import ExchangeConnection  # noqa: PLC0415

    connection = ExchangeConnection(
        venue.name,
        key,
        secret,
        passphrase=venue.passphrase.get_secret_value(),
        url=venue.url,
        timeout_seconds=venue.timeout_seconds,
    )
    return ExchangeBroker(connection, venue.symbols)


async def check_account(broker: VenueAccount, settings: Settings) -> None:
    """See that the state folder is this account's and that the clocks agree.

    Raises
    ------
    ConfigurationError
        If the state folder is another account's.
    LiveTradingRefused
        If it holds real money, and nobody turned the switch on for it.
    EnvironmentProblem
        If the clocks are too far apart.
    domain.errors.VenueUnavailable
        If the venue does not answer.
    """
    venue = settings.venue
    number = await broker.account()
    if venue.live:
        LiveSwitch(settings).demand(number)
    account = {"venue": venue.name, "url": _url(venue), "account": number}
    known = _known(settings.home / _FILE)
    if known is None:
        settings.home.mkdir(parents=True, exist_ok=True)
        write_atomically(settings.home / _FILE, json.dumps(account).encode())
    elif known != account:
        raise ConfigurationError(
            f"The state folder {settings.home} belongs to the account {known.get('account')} at "
            f"{known.get('venue')}, not to {account['account']}.",
            next_step="Give each account a state folder of its own (QUORUM_HOME).",
        )
    offset = await broker.clock_offset()
    if abs(offset) > venue.maximum_clock_offset_seconds:
        raise EnvironmentProblem(
            f"This machine's clock is {offset:+.1f} s off that of {venue.name}.",
            kept="Nothing is sent: ages of prices and orders would be wrong.",
            next_step="Set the clock by NTP; the gateway tries again by itself.",
        )


def _known(path: Path) -> dict[str, str] | None:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        raise ConfigurationError(
            f"{path} can't be read.",
            next_step="Restore it from a backup; it says whose positions are on record here.",
        ) from None


def _url(venue: VenueSettings) -> str:
    return venue.url or _PAPER_ADDRESSES[venue.name]


def _demand_address(venue: VenueSettings) -> None:
    parts = urlsplit(_url(venue))
    if not venue.live and parts.hostname in _LIVE_HOSTS:
        raise ConfigurationError(
            "QUORUM_VENUE__URL is the address of accounts with real money.",
            next_step="Use the paper address; docs/venues.md says how to go live.",
        )
    if venue.live and parts.hostname == urlsplit(PAPER_URL).hostname:
        raise ConfigurationError(
            "QUORUM_VENUE__LIVE is set, and QUORUM_VENUE__URL is the address of paper accounts.",
            next_step=f"Set QUORUM_VENUE__URL={LIVE_URL}, or unset QUORUM_VENUE__LIVE.",
        )
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(
            "QUORUM_VENUE__URL would send the account's keys unencrypted.",
            next_step="Begin it with https://.",
        )
