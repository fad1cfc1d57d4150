"""All of `technical`, bar by bar: one frozen value that is the same however it came about.

After any number of bars, saved and restored between any two of them, `values` is the newest row
of `technical.analyse` over the same bars.
"""

from collections.abc import Iterator
from math import inf

import msgspec
import numpy as np

from agents.indicators.running import Deviation, ExponentialMean, SimpleMean, Window
from agents.indicators.running_closes import (
    Bollinger,
    ConvergenceDivergence,
    RateOfChange,
    RelativeStrength,
)
from agents.indicators.running_ranges import (
    AverageTrueRange,
    Bar,
    CommodityChannel,
    DirectionalMovement,
    Extremes,
    Keltner,
    RealisedVolatility,
    Stochastic,
)
from agents.indicators.running_volumes import MoneyFlow, OnBalanceVolume, VolumeWeightedPrice
from agents.indicators.technical import INDICATORS
from agents.indicators.volatility import PERIOD
from agents.price_history import PriceHistory
from domain.errors import InvalidValue


def _deviation() -> Deviation:
    return Deviation(SimpleMean(PERIOD))


class TechnicalState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the indicators of one symbol remember: a few hundred numbers, however many bars."""

    time: int = -1
    rsi: RelativeStrength = RelativeStrength(14)
    macd: ConvergenceDivergence = ConvergenceDivergence()
    bollinger: Bollinger = Bollinger(Deviation(SimpleMean(20)))
    atr: AverageTrueRange = AverageTrueRange(14)
    movement: DirectionalMovement = DirectionalMovement(14)
    stochastic: Stochastic = Stochastic(Extremes(Window(14), Window(14)))
    obv: OnBalanceVolume = OnBalanceVolume()
    vwap: VolumeWeightedPrice = VolumeWeightedPrice(SimpleMean(20), SimpleMean(20))
    simple: tuple[SimpleMean, SimpleMean, SimpleMean] = (
        SimpleMean(20), SimpleMean(50), SimpleMean(200),
    )  # fmt: skip
    exponential: tuple[ExponentialMean, ExponentialMean, ExponentialMean] = (
        ExponentialMean(12), ExponentialMean(20), ExponentialMean(26),
    )  # fmt: skip
    roc: RateOfChange = RateOfChange(Window(11))
    donchian: Extremes = Extremes(Window(20), Window(20))
    keltner: Keltner = Keltner(ExponentialMean(20), AverageTrueRange(10))
    cci: CommodityChannel = CommodityChannel(20)
    mfi: MoneyFlow = MoneyFlow(14)
    volatility: RealisedVolatility = RealisedVolatility(
        _deviation(), _deviation(), _deviation(),
        SimpleMean(PERIOD), SimpleMean(PERIOD), SimpleMean(PERIOD),
    )  # fmt: skip

    def update(self, bar: Bar) -> "TechnicalState":
        """Return the state one bar later.

        Raises
        ------
        InvalidValue
            If the bar is not later than the newest, or can't be (as `bar_panel.checked`).
        """
        _check(bar, self.time)
        close = bar.close
        short, middle, long = self.simple
        quick, even, slow = self.exponential
        return TechnicalState(
            time=bar.time,
            rsi=self.rsi.update(close),
            macd=self.macd.update(close),
            bollinger=self.bollinger.update(close),
            atr=self.atr.update(bar),
            movement=self.movement.update(bar),
            stochastic=self.stochastic.update(bar),
            obv=self.obv.update(bar),
            vwap=self.vwap.update(bar),
            simple=(short.update(close), middle.update(close), long.update(close)),
            exponential=(quick.update(close), even.update(close), slow.update(close)),
            roc=self.roc.update(close),
            donchian=self.donchian.update(bar),
            keltner=self.keltner.update(bar),
            cci=self.cci.update(bar),
            mfi=self.mfi.update(bar),
            volatility=self.volatility.update(bar),
        )

    @property
    def values(self) -> dict[str, float]:
        """Every column of `technical.INDICATORS` at the newest bar; NaN where history is short."""
        average = self.movement.average
        return dict(
            zip(
                INDICATORS,
                (
                    self.rsi.value,
                    *self.macd.values,
                    *self.bollinger.values,
                    self.atr.value,
                    average,
                    *self.movement.directions,
                    *self.stochastic.values,
                    self.obv.value,
                    self.vwap.value,
                    self.vwap.today,
                    *(mean.value for mean in self.simple),
                    *(mean.value for mean in self.exponential),
                    self.roc.value,
                    *self.donchian.values,
                    *self.keltner.values,
                    self.cci.value,
                    self.mfi.value,
                    *self.volatility.values,
                ),
                strict=True,
            )
        )


def _check(bar: Bar, newest: int) -> None:
    possible = (
        bar.time > newest
        and 0.0 < bar.low <= bar.open <= bar.high < inf
        and bar.low <= bar.close <= bar.high
        and 0.0 <= bar.volume < inf
    )
    if not possible:
        raise InvalidValue(
            f"{bar} can't be the bar after instant {newest}.",
            next_step="Correct the bar or leave it out.",
        )


def bars_of(history: PriceHistory) -> Iterator[Bar]:
    """Yield the bars of a history, oldest first."""
    return map(Bar, *(column.tolist() for column in history))


def advanced(state: TechnicalState, history: PriceHistory) -> TechnicalState:
    """Return the state after those bars of `history` that are later than its newest."""
    known = int(np.searchsorted(history.times, state.time, side="right"))
    for bar in bars_of(history.last(history.length - known)):
        state = state.update(bar)
    return state


def saved(state: TechnicalState) -> bytes:
    """Return the state as bytes (MessagePack), exactly."""
    return msgspec.msgpack.encode(state)


def restored(data: bytes) -> TechnicalState:
    """Return the state that was saved.

    Raises
    ------
    InvalidValue
        If the bytes are no saved state.
    """
    try:
        return msgspec.msgpack.decode(data, type=TechnicalState)
    except msgspec.DecodeError as problem:
        raise InvalidValue(
            f"These bytes are no saved state of indicators: {problem}.",
            next_step="Compute the state again from history.",
        ) from None
