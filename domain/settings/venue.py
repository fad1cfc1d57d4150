"""Which venue orders go to."""

from typing import Literal

from pydantic import Field, SecretStr

from domain.settings.group import SettingsGroup


class VenueSettings(SettingsGroup):
    """The venue that the gateway sends orders to."""

    name: Literal["paper", "alpaca"] = Field(
        default="paper",
        description="paper: filled on bars in this process; alpaca: a paper account at Alpaca.",
    )
    url: str = Field(
        default="https://paper-api.alpaca.markets",
        description="Where a venue outside answers; accounts with real money are not opened.",
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
