from pathlib import Path
from xml.etree import ElementTree as ET

from agents.portfolio_optimizer.frontier import efficient_frontier
from evaluation.frontier_picture import example, picture

PAGE = Path(__file__).parents[2] / "docs" / "pictures" / "frontier.svg"
BLUE = "#2563a8"


def test_the_documents_picture_is_the_one_that_the_code_draws():
    assert PAGE.read_text() == picture(), "python -m evaluation.frontier_picture " + str(PAGE)


def test_every_turning_point_is_a_dot_inside_the_picture():
    known = example()
    dots = [
        dot
        for dot in ET.fromstring(picture()).iter("{http://www.w3.org/2000/svg}circle")
        if dot.get("fill") == BLUE
    ]
    frontier = efficient_frontier(known.expected, known.covariance)
    assert len(dots) == len(frontier.weights)
    assert all(0 < float(dot.get("cx")) < 760 and 0 < float(dot.get("cy")) < 460 for dot in dots)
