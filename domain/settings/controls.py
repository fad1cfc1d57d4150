"""What the pre-trade controls allow (`trading.controls`, `docs/controls.md`)."""

from decimal import Decimal

from pydantic import Field

from domain.settings.group import SettingsGroup


class ControlSettings(SettingsGroup):
    """Limits of the controls in the order path; part of `TradingSettings`."""

    maximum_order_value: Decimal = Field(
        default=Decimal(250_000), gt=0, description="Largest notional of one order (USD)."
    )
    maximum_order_quantity: Decimal = Field(
        default=Decimal(1_000_000), gt=0, description="Largest quantity of one order (shares)."
    )
    maximum_messages_per_second: int = Field(
        default=500, gt=0, description="Orders that may be sent within any second."
    )
    duplicate_window_seconds: float = Field(
        default=1.0,
        ge=0,
        description="How long after an order another one of the same terms is a duplicate.",
    )
    maximum_executions: int = Field(
        default=1000,
        gt=0,
        description="Orders of one strategy within `execution_window_seconds`; one more stops the "
        "strategy until a person resumes it.",
    )
    execution_window_seconds: float = Field(
        default=86_400.0, gt=0, description="Time over which `maximum_executions` counts."
    )
    price_collar: Decimal = Field(
        default=Decimal("0.10"),
        gt=0,
        description="Largest distance of an order's price from the last price, as a fraction.",
    )
    price_band: Decimal = Field(
        default=Decimal("0.50"),
        gt=0,
        description="Largest distance of an order's price from the mean of the symbol's last 21 "
        "closes, as a fraction.",
    )
    maximum_price_age_seconds: float = Field(
        default=432_000.0,
        gt=0,
        description="Age of a symbol's last price at which its orders are denied "
        "(5 days: a daily bar over a long weekend).",
    )
    tick_size: Decimal = Field(
        default=Decimal("0.01"), ge=0, description="Step of limit and stop prices (USD); 0 is none."
    )
    tick_sizes: dict[str, Decimal] = Field(
        default={}, description="Tick size by symbol (JSON), where it is another."
    )
    lot_size: Decimal = Field(
        default=Decimal(1), ge=0, description="Step of quantities (shares); 0 is none."
    )
    lot_sizes: dict[str, Decimal] = Field(
        default={}, description="Lot size by symbol (JSON), where the venue has fractions or lots."
    )
    restricted_symbols: tuple[str, ...] = Field(
        default=(), description="Symbols that may not be traded (JSON)."
    )
    venue: str = Field(default="paper", description="Name that the kill switch knows the venue by.")
    exchange: str = Field(
        default="",
        description="Calendar of the venue's sessions, such as XNYS; empty is always open.",
    )
    queue_while_closed: bool = Field(
        default=True,
        description="Whether an order made while the market is closed waits for its open.",
    )
    slice_seconds: int = Field(
        default=86_400,
        ge=1,
        description="Children of a planned order that are due within so many seconds leave "
        "together; a day suits daily bars, which show no time within it, 1800 bars of a minute.",
    )
    brackets: bool = Field(
        default=False,
        description="Whether what an entry opened is kept under the Risk Manager's stop, trailing "
        "stop, target and time stop, as orders at the venue.",
    )
    unknown_order_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Age from which an order that timed out, and that the venue says it never saw, "
        "is over.",
    )
    drop_copy_seconds: float = Field(
        default=60.0,
        gt=0,
        description="How often positions, fills and open orders are compared with the venue's own "
        "record while trading goes on (logical time).",
    )
    cancel_on_disconnect: bool = Field(
        default=True,
        description="Whether open orders are cancelled once a venue that fell silent answers.",
    )
    maximum_position_fraction: Decimal = Field(
        default=Decimal("0.30"), gt=0, description="Largest position as a fraction of equity."
    )
    maximum_position_value: Decimal = Field(
        default=Decimal(100_000_000), gt=0, description="Largest position in one symbol (USD)."
    )
    maximum_gross_exposure: Decimal = Field(
        default=Decimal("1.0"), gt=0, description="Sum of absolute positions over equity."
    )
    maximum_net_exposure: Decimal = Field(
        default=Decimal("1.0"), gt=0, description="Absolute sum of signed positions over equity."
    )
    maximum_sector_exposure: Decimal = Field(
        default=Decimal("1.0"),
        gt=0,
        description="Sum of a sector's absolute positions over equity; `sectors` says which is in.",
    )
    sectors: dict[str, str] = Field(
        default={}, description="Sector by symbol (JSON); a symbol without one is unclassified."
    )
    initial_margin: Decimal = Field(
        default=Decimal("1.0"),
        gt=0,
        le=1,
        description="Equity needed per value of positions; 1 is a cash account.",
    )
    limit_confirmation_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="How long a raise of a limit waits for the second person.",
    )
    reservation_buffer: Decimal = Field(
        default=Decimal("0.01"),
        ge=0,
        description="Cash reserved above a buy's value for the gap until it fills, as a fraction.",
    )
    short_selling: bool = Field(
        default=False, description="Whether more may be sold than is held, with a locate."
    )
    maximum_daily_loss: Decimal = Field(
        default=Decimal("0.10"),
        gt=0,
        description="Loss since the day before from which the day's orders only reduce (fraction).",
    )
    maximum_drawdown: Decimal = Field(
        default=Decimal("0.25"),
        gt=0,
        le=1,
        description="Drawdown from the high-water mark at which trading is only reducing.",
    )
    cool_down_seconds: float = Field(
        default=86_400.0,
        ge=0,
        description="How long a symbol is not entered again after one of its stops was hit.",
    )
    minimum_profit: Decimal = Field(
        default=Decimal("-0.20"),
        description="Mean return of a symbol's last closing trades below which it is locked.",
    )
    minimum_profit_trades: int = Field(
        default=4, gt=0, description="Closing trades before `minimum_profit` is asked."
    )
    minimum_profit_window_seconds: float = Field(
        default=2_592_000.0,
        gt=0,
        description="Age at which a closing trade no longer counts for `minimum_profit` (30 days).",
    )
