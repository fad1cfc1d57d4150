"""One run as one HTML page that opens offline: what happened, and why it may be wrong."""

from evaluation.report.inputs import ChallengerComparison, ReportInput, RunParameters, empty_frame
from evaluation.report.page import render, write

__all__ = [
    "ChallengerComparison",
    "ReportInput",
    "RunParameters",
    "empty_frame",
    "render",
    "write",
]
