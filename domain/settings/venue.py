"""Which venue orders go to."""

from typing import Literal

from pydantic import Field, SecretStr

from domain.settings.group import SettingsGroup


class VenueSettings(SettingsGroup):
    """The venue that the gateway sends orders to."""

    name: Literal["paper", "alpaca"] = Field(
        default="paper",
        description="paper: filled on bars in this process; alpaca: an account at Alpaca.",
    )
    url: str = Field(
        default="https://paper-api.alpaca.markets",
        description="Where a venue outside answers: the address of its paper accounts, or, with "
        "`live`, of those with real money.",
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
    timeout_seconds: float = Field(
        default=10.0, gt=0, description="Longest wait for one answer, after which it is asked for."
    )
    maximum_clock_offset_seconds: float = Field(
        default=2.0,
        gt=0,
        description="How far this machine's clock may be from the venue's before nothing is sent.",
    )
