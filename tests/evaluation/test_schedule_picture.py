from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from agents.execution.planning import plan
from agents.execution.volume_curve import USUAL_CURVE, VolumeForecast
from domain.execution_plan import Algorithm
from domain.settings import TradingSettings
from evaluation.report.schedule_picture import ORDER, held_of, picture

DRAWN = Path(__file__).parents[2] / "docs" / "pictures" / "execution-schedule.svg"


def test_the_picture_in_the_documentation_is_what_the_plans_say_today():
    assert DRAWN.read_text() == picture()
    assert len(ET.fromstring(picture()).findall(".//{*}polyline")) == 5


def test_what_is_left_falls_from_all_to_nothing():
    made = plan(
        ORDER, VolumeForecast(USUAL_CURVE, 1e6), TradingSettings(), algorithm=Algorithm.VWAP
    )
    held = held_of(made, len(USUAL_CURVE))
    assert (held[0], held[-1]) == (1.0, 0.0)
    assert held[1] == pytest.approx(1 - USUAL_CURVE[0], abs=1e-4)
