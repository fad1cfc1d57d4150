"""The read side: tables that are filled from the logs, and filled again at will."""

from adapters.projections.projector import Projector, projecting
from adapters.projections.rebuild import Comparison, digests, rebuild, verify
from adapters.projections.rows import Judges
from adapters.projections.standing import Standing, standings

__all__ = [
    "Comparison",
    "Judges",
    "Projector",
    "Standing",
    "digests",
    "projecting",
    "rebuild",
    "standings",
    "verify",
]
