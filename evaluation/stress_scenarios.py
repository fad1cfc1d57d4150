"""What a portfolio is put through: past crashes by their index moves, and shocks by parameters."""

from dataclasses import dataclass
from datetime import date

from domain.voting import AgentId

_CLOSES = "closes of the S&P 500 (S&P Dow Jones Indices)"
_EVERYONE = tuple(AgentId)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario: the moves of the market, and what is bent besides.

    Parameters
    ----------
    source
        Where the moves were published, or that they are assumed.
    moves
        Return of the market on each day, close to close; empty leaves the stored days' own.
    lows
        Day (from 0) → lowest point of the market on it, as a return on the close before.
    sessions
        Length where there are no moves.
    period
        First and last day; where they are stored, the stored bars are taken instead of `moves`.
    overnight
        Share of what a day's return is changed by that comes before its open; the rest comes
        during the session.
    volatility
        Factor on stored returns that the moves do not replace.
    together
        Whether all symbols move with the market alone (correlation 1), each by its volatility.
    gap
        Return of the largest position on the first day, before its open.
    volume
        Factor on the volume of each bar.
    spread_bps
        Half the quoted spread, in basis points; None leaves the configured one.
    mad
        Agents that support every trade with certainty; a mad Market Analyst proposes to buy on
        every bar.
    mad_size
        For how many times the equity it does.
    """

    name: str
    source: str = "assumed"
    moves: tuple[float, ...] = ()
    lows: tuple[tuple[int, float], ...] = ()
    sessions: int = 10
    period: tuple[date, date] | None = None
    overnight: float = 0.5
    volatility: float = 1.0
    together: bool = False
    gap: float = 0.0
    volume: float = 1.0
    spread_bps: float | None = None
    mad: tuple[AgentId, ...] = ()
    mad_size: float = 10.0

    @property
    def length(self) -> int:
        """Number of sessions of the parametric form."""
        return len(self.moves) or self.sessions


def _even(total: float, sessions: int) -> tuple[float, ...]:
    """Return `sessions` equal returns that compound to `total`."""
    return ((1.0 + total) ** (1.0 / sessions) - 1.0,) * sessions


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        name="1987",
        source=f"{_CLOSES}, 1987-10-14 to 10-26",
        moves=(-0.0295, -0.0234, -0.0516, -0.2047, 0.0533, 0.0910, -0.0392, -0.0001, -0.0828),
        period=(date(1987, 10, 14), date(1987, 10, 26)),
    ),
    Scenario(
        name="2000 to 2002",
        source=f"{_CLOSES}: 1527.46 on 2000-03-24, 776.76 on 2002-10-09; in 60 even steps",
        moves=_even(776.76 / 1527.46 - 1.0, 60),
        period=(date(2000, 3, 27), date(2002, 10, 9)),
    ),
    Scenario(
        name="2008",
        source=f"{_CLOSES}, 2008-09-29 to 10-10",
        moves=(
            *(-0.0881, 0.0542, -0.0045, -0.0403, -0.0135),
            *(-0.0385, -0.0574, -0.0113, -0.0762, -0.0118),
        ),
        period=(date(2008, 9, 29), date(2008, 10, 10)),
    ),
    Scenario(
        name="Flash crash 2010",
        source=f"{_CLOSES}, 2010-05-04 to 05-10, lowest 1065.79 after 1165.87",
        moves=(-0.0238, -0.0066, -0.0324, -0.0153, 0.0440),
        lows=((2, 1065.79 / 1165.87 - 1.0),),
        overnight=0.0,
        period=(date(2010, 5, 4), date(2010, 5, 10)),
    ),
    Scenario(
        name="2015",
        source=f"{_CLOSES}, 2015-08-20 to 08-26, lowest 1867.01 after 1970.89",
        moves=(-0.0211, -0.0319, -0.0394, -0.0135, 0.0390),
        lows=((2, 1867.01 / 1970.89 - 1.0),),
        overnight=1.0,
        period=(date(2015, 8, 20), date(2015, 8, 26)),
    ),
    Scenario(
        name="2020",
        source=f"{_CLOSES}, 2020-03-09 to 03-18",
        moves=(-0.0760, 0.0494, -0.0489, -0.0951, 0.0929, -0.1198, 0.0600, -0.0518),
        period=(date(2020, 3, 9), date(2020, 3, 18)),
    ),
    Scenario(
        name="Rate shock",
        source=f"{_CLOSES}, 2022-06-08 to 06-16 (rates raised by 75 basis points)",
        moves=(-0.0108, -0.0238, -0.0291, -0.0388, -0.0038, 0.0146, -0.0325),
        period=(date(2022, 6, 8), date(2022, 6, 16)),
    ),
    Scenario(name="Volatility shock", source="assumed: returns three times as large", volatility=3),
    Scenario(
        name="Correlation to one",
        source="assumed: ten per cent down in five sessions, nothing moves for itself",
        moves=_even(-0.1, 5),
        together=True,
    ),
    Scenario(
        name="Liquidity gone",
        source="assumed: 2 % of the volume, 200 basis points spread, ten per cent down in five "
        "sessions",
        moves=_even(-0.1, 5),
        volume=0.02,
        spread_bps=100.0,
    ),
    Scenario(
        name="Gap on the largest position",
        source="assumed: it opens 40 % lower",
        sessions=5,
        gap=-0.4,
    ),
    Scenario(
        name="Mad Market Analyst",
        source="assumed: proposes ten times the equity on every bar",
        mad=(AgentId.MARKET_ANALYST,),
    ),
    Scenario(
        name="Mad Risk Manager",
        source="assumed: supports everything with certainty",
        mad=(AgentId.RISK_MANAGER,),
    ),
    Scenario(
        name="All agents mad",
        source="assumed: ten times the equity on every bar, only the controls are left",
        mad=_EVERYONE,
    ),
    Scenario(
        name="All agents mad, in small orders",
        source="assumed: 5 % of equity on every bar, only the controls are left",
        mad=_EVERYONE,
        mad_size=0.05,
    ),
)
