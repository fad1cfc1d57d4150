"""Which venue orders go to."""

from typing import Literal

from pydantic import Field, SecretStr, field_validator

from domain.settings.group import SettingsGroup


class VenueSettings(SettingsGroup):
    """The venue that the gateway sends orders to."""

    name: Literal["paper", "alpaca", "binance", "okx"] = Field(
        default="paper",
        description="paper: filled on bars in this process; alpaca: an account at Alpaca; "
        "binance, okx: an account with play money at that exchange.",
    )
    url: str = Field(
        default="",
        description="Where a venue outside answers: empty for its paper accounts; with `live`, the "
        "address of those with real money.",
    )
    live: bool = Field(
        default=False,
        description="Whether the account holds real money; nothing starts with it until "
        "`quorum live enable` has turned the switch on.",
    )
    paper_run_days: float = Field(
        default=7.0,
        gt=0,
        description="Age of a measured paper run (`quorum gap`) from which it turns no switch on.",
    )
    paper_run_trades: int = Field(
        default=20, gt=0, description="Trades that such a paper run must have."
    )
    key: SecretStr = Field(default=SecretStr(""), description="Key of the account.")
    secret: SecretStr = Field(default=SecretStr(""), description="The key's secret.")
    passphrase: SecretStr = Field(
        default=SecretStr(""), description="The key's passphrase, where the venue has one (okx)."
    )
    symbols: tuple[str, ...] = Field(
        default=(),
        description="Pairs that are traded at an exchange, as a JSON list: one of each first "
        "currency, all with the same second one.",
    )
    timeout_seconds: float = Field(
        default=10.0, gt=0, description="Longest wait for one answer, after which it is asked for."
    )
    maximum_clock_offset_seconds: float = Field(
        default=2.0,
        gt=0,
        description="How far this machine's clock may be from the venue's before nothing is sent.",
    )

    @field_validator("symbols")
    @classmethod
    def _one_pair_of_a_currency(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse pairs between which the account's balances can't be told apart."""
        bases = {symbol.partition("/")[0] for symbol in symbols}
        quotes = {symbol.partition("/")[2] for symbol in symbols}
        if len(bases) != len(symbols) or len(quotes) > 1 or "" in quotes | bases:
            raise ValueError(
                "name pairs such as BTC/USDT, one of each first currency, with one second currency"
            )
        return symbols
