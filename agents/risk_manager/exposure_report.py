"""A portfolio's exposures at one look, with the use of every limit."""

from collections.abc import Mapping
from dataclasses import dataclass

from agents.assessment import Case
from agents.risk_manager.correlation import StressCorrelation, stress_correlation
from agents.risk_manager.exposure_limits import Limit, Utilisation, binding, utilisation
from agents.risk_manager.portfolio_exposure import (
    Cluster,
    Concentration,
    FactorExposure,
    cluster_exposures,
    concentration,
    factor_exposures,
    gross_and_net,
    sector_exposures,
)
from agents.risk_manager.portfolio_risk import (
    RiskInputs,
    days_to_sell,
    risk_figures,
    worst_risk,
)

_FEWEST_STRESS_DAYS = 100


@dataclass(frozen=True)
class ExposureReport:
    """What a portfolio is exposed to, as fractions of equity.

    Parameters
    ----------
    sectors
        Sector → gross and net.
    beta
        On the market symbol; None where none is set.
    factors
        Statistical factors, the largest first.
    liquidation_days
        By symbol, at the largest share of the volume that a fill may take.
    clusters
        Symbols that move together.
    stress
        How correlations break down on bad days; None for one symbol or little history.
    limits
        Use of every limit that could be measured.
    """

    gross: float
    net: float
    sectors: Mapping[str, tuple[float, float]]
    beta: float | None
    factors: list[FactorExposure]
    concentration: Concentration
    liquidation_days: Mapping[str, float]
    clusters: list[Cluster]
    stress: StressCorrelation | None
    limits: Mapping[Limit, Utilisation]

    @property
    def binding(self) -> Limit:
        """The limit that is used most."""
        return binding(self.limits)


def exposure_report(weights: dict[str, float], inputs: RiskInputs, case: Case) -> ExposureReport:
    """Return what a portfolio with these weights is exposed to."""
    vector = inputs.vector(weights)
    gross, net = gross_and_net(weights)
    stressed = len(inputs.symbols) > 1 and len(inputs.returns) >= _FEWEST_STRESS_DAYS
    risk = worst_risk(vector, inputs)
    return ExposureReport(
        gross=gross,
        net=net,
        sectors=sector_exposures(weights, case.limits.sectors),
        beta=None if inputs.betas is None else float(vector @ inputs.betas),
        factors=factor_exposures(vector * inputs.volatilities, inputs.correlation),
        concentration=concentration(weights),
        liquidation_days=days_to_sell(weights, inputs, case),
        clusters=cluster_exposures(weights, inputs.clusters),
        stress=stress_correlation(inputs.returns) if stressed else None,
        limits=utilisation(risk_figures(weights, risk, inputs, case), case.limits),
    )
