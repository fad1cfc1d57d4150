"""Where live bars and headlines come from."""

from typing import Literal

from pydantic import Field, SecretStr

from domain.settings.group import SettingsGroup


class FeedSettings(SettingsGroup):
    """The live feed that `quorum paper --feed live` trades on."""

    source: Literal["none", "alpaca", "binance", "okx"] = Field(
        default="none",
        description="alpaca: minute bars by websocket, missed ones by REST; binance, okx: bars "
        "asked for through ccxt, from the exchange's address for play money.",
    )
    symbols: tuple[str, ...] = Field(
        default=(), description="Symbols, or pairs such as BTC/USDT, as a JSON list."
    )
    key: SecretStr = Field(default=SecretStr(""), description="Alpaca's API key.")
    secret: SecretStr = Field(default=SecretStr(""), description="The key's secret.")
    exchange_feed: Literal["iex", "sip"] = Field(
        default="iex", description="Alpaca: whose trades make the bars; sip is all exchanges."
    )
    url: str = Field(
        default="", description="Where bars of the past are asked for; empty: the source's own."
    )
    stream_url: str = Field(
        default="", description="Where Alpaca's stream is; empty: Alpaca's own address."
    )
    history_days: int = Field(
        default=5, ge=1, le=60, description="Days of bars that agents are warmed up with."
    )
    exchange: str = Field(
        default="XNYS",
        description="Calendar (such as XNYS or 24/7) that says when a bar can be overdue.",
    )
    stale_after_seconds: float = Field(
        default=180.0, gt=0, description="How long a bar may be overdue before its feed is stale."
    )
    timeout_seconds: float = Field(
        default=10.0, gt=0, description="Longest wait for one answer of a source."
    )
    news: dict[str, str] = Field(
        default={}, description="Symbol → address of an RSS or Atom feed about it, as JSON."
    )
    news_poll_seconds: float = Field(
        default=60.0, ge=1, description="How often news feeds are asked."
    )
    news_maximum_bytes: int = Field(
        default=2_000_000, ge=1_000, description="Longest news feed that is read, decompressed."
    )
