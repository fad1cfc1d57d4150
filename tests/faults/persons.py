"""Persons who look at reviews, claim them and answer, whichever desk lives just now."""

import random
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

import httpx

from adapters.persons import Persons
from domain.review import ReviewVerdict
from tests.faults.plane import READERS, Plane

DESKS = tuple(name for name in READERS if name.startswith("review"))
NAMES = ("ada", "grace", "katherine")
_PAUSE_SECONDS = 0.05
_PATIENCE_SECONDS = 20.0  # longer than the desk's own


class Said(NamedTuple):
    """A person's answer."""

    decision_id: str
    actor: str
    approved: bool

    @classmethod
    def of(cls, verdict: ReviewVerdict) -> "Said":
        """Return what a recorded answer says."""
        return cls(verdict.decision_id, verdict.actor, verdict.approved)


class Answering:
    """Three persons who answer reviews at once, each from a thread of its own.

    Parameters
    ----------
    plane
        Its desks must have been given `tokens`, by `register`.
    seed
        Of what they choose.

    Attributes
    ----------
    sent
        Every answer that a desk was asked to take, whatever came of it.
    acknowledged
        Those of them that a desk said were taken.
    """

    def __init__(self, plane: Plane, tokens: dict[str, dict[str, str]], seed: int) -> None:
        self.sent: set[Said] = set()
        self.acknowledged: set[Said] = set()
        self._plane = plane
        self._tokens = tokens
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._answer, args=(name, random.Random(f"{seed} {name}")))
            for name in NAMES
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, when what is being asked is answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _answer(self, name: str, chance: random.Random) -> None:
        with httpx.Client(timeout=_PATIENCE_SECONDS) as http:
            while not self._stop.wait(_PAUSE_SECONDS):
                desk = chance.choice(DESKS)
                if (url := self._plane.url(desk)) is None:
                    continue
                http.headers["authorization"] = f"Bearer {self._tokens[desk][name]}"
                try:
                    self._look_and_answer(http, f"{url}/reviews", name, chance)
                except httpx.HTTPError:  # the desk was killed meanwhile: another one is asked
                    continue

    def _look_and_answer(
        self, http: httpx.Client, reviews: str, name: str, chance: random.Random
    ) -> None:
        answer = http.get(reviews, params={"limit": 10})
        waiting: list[Any] = answer.json() if answer.is_success else []
        if not waiting:
            return
        decision_id = chance.choice(waiting)["terms"]["decision_id"]
        if not http.put(f"{reviews}/{decision_id}/claim").is_success:
            return
        said = Said(decision_id, name, approved=chance.random() < 0.7)
        self.sent.add(said)
        verb = "approve" if said.approved else "reject"
        if http.post(f"{reviews}/{decision_id}/{verb}", json={"reason": "a run"}).is_success:
            self.acknowledged.add(said)


def register(plane: Plane, desks: Iterable[str] = DESKS) -> dict[str, dict[str, str]]:
    """Make the persons known at each desk; returns desk → name → token."""
    return {desk: {name: Persons(plane.folder(desk)).add(name) for name in NAMES} for desk in desks}
