"""An update descends from the champion, stands in shadow, and goes live or goes by the record."""

from contextlib import contextmanager
from dataclasses import replace as replaced
from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace

import dagster as dg
import numpy as np
import pytest
from msgspec.structs import replace

from adapters.model_registry import mlflow_uri, open_model_registry
from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.mlflow import mlflow_client
from adapters.time_series.memory import MemoryTimeSeries
from agents.calibration import Knots
from agents.learning.experiences import experience_frame
from agents.model import OUTPUTS, Model, Specification, TrainedModel
from agents.model_files import load, save, verify
from agents.network import PolicyNetwork
from assets import online_learning, revoting
from assets.experience import experiences
from assets.online_learning import Online, is_update, known_until, online_updates
from assets.records import ModelFolder
from assets.registration import ensure_champion, register
from assets.succession import Mover, life_of, promote, validated
from assets.trial import trial_of
from assets.trials import EXPERIMENT, read_artifact, trials_of
from domain.errors import DataQualityError
from domain.models import DeploymentStatus
from domain.ports.time_series import Table
from domain.settings import PromotionSettings, Settings
from domain.voting import AgentId
from evaluation.sequential import compare
from orchestration.pipeline import dagster_instance
from orchestration.resources import resources
from tests.assets.test_revoting import DAY, decision, experience
from tests.builders import at

AGENT = AgentId.EXECUTION
S = DeploymentStatus
CHANCES = Knots((-2.0, 0.0, 2.0), (0.1, 0.5, 0.9))


def trained(folder, chances: Knots = CHANCES) -> ModelFolder:
    specification = Specification(
        agent=AGENT,
        architecture="classic",
        inputs=("return_1",),
        outputs=OUTPUTS[AGENT],
        hidden_units=0,
        horizon_days=5,
        trained_until=at(0),
        score=Knots((-0.25, 0.0, 1.0), (65.0, 75.0, 77.0)),
        confidence=chances,
    )
    network = PolicyNetwork(1, 2, 0)
    save(folder, TrainedModel(Model(specification, network), {"volume_error": 0.5}, [], {}, 7))
    return ModelFolder(
        agent=AGENT, folder=str(folder), kind="classic", run_id="", until=at(0).isoformat(),
        metrics={"volume_error": 0.5}, data_version="d", code_version="c",
    )  # fmt: skip


class Market:
    """The record of a market: a proposal a day; its state tells what the model makes of it."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(5)
        self.decisions = []
        self.experiences = []

    def days(self, count: int, slope: float) -> "Market":
        """Let days pass on which log odds are worth `slope` times what `CHANCES` makes of them."""
        for _ in range(count):
            number = len(self.decisions)
            support = round(float(self._rng.uniform(-2, 2)), 6)
            claimed = CHANCES(support)
            true = 1.0 / (1.0 + ((1.0 - claimed) / claimed) ** slope)
            earned = "0.01" if self._rng.random() < true else "-0.01"
            made = decision(f"p{number}", number)
            self.decisions.append(made)
            self.experiences.append(
                replace(
                    experience(made, earned),
                    occurred_at=at((number + 5) * DAY),
                    state={"support": Decimal(str(support))},
                )
            )
        return self

    def messages(self, _):
        return self.decisions

    def store(self) -> MemoryTimeSeries:
        store = MemoryTimeSeries()
        store.write(Table.EXPERIENCES, experience_frame(self.experiences))
        return store


@pytest.fixture(autouse=True)
def _claims(monkeypatch):
    """Let a model claim what its knots say of the state, without a market to judge."""

    def claims(model, lived, view, settings):
        del view, settings
        knots = load(model.folder, AGENT).specification.confidence
        return [
            revoting.Claim(knots(float(e.state["support"])), e.reward > 0)
            for e in (each.experience for each in lived)
        ]

    monkeypatch.setattr(revoting, "claims", claims)
    monkeypatch.setattr(revoting, "market_view", lambda _: None)


@pytest.fixture
def ledger(monkeypatch):
    """The trials that were opened: their state, parameters, and what they kept."""
    rows = []

    @contextmanager
    def trial(mlflow, agent, kind, parameters):
        row = SimpleNamespace(state="FAILED", agent=agent, kind=kind, parameters=parameters)
        rows.append(row)
        run = SimpleNamespace(
            run_id=f"run-{len(rows)}",
            measured=lambda figures: setattr(row, "figures", figures),
            keep=lambda manifest, _: setattr(row, "manifest", manifest),
        )
        yield run
        row.state = "FINISHED"

    monkeypatch.setattr(online_learning, "trial", trial)
    return rows


@pytest.fixture
def online(registry, deployed, tmp_path, ledger):
    """Return the online learning of an agent whose champion is as training left it."""
    ensure_champion(registry, deployed, trained(tmp_path / "classic"))
    settings = Settings(home=tmp_path / "home", clock="event")

    def on(market: Market, **policy) -> Online:
        wanted = settings.model_copy(update={"online": settings.online.model_copy(update=policy)})
        return Online(AGENT, market, market.store(), wanted, registry, deployed)

    return on


def judged(online: Online):
    return trial_of(
        AGENT, live=online.live, store=online.store, settings=online.settings,
        registry=online.registry, deployed=online.deployed,
    )  # fmt: skip


def status(online: Online, version: int) -> DeploymentStatus:
    return life_of(online.registry, AGENT).of(version).status


def chances(online: Online, version: int) -> Knots:
    found = online.deployed.install(online.registry, online.registry.version(AGENT, version))
    return load(found.folder, AGENT).specification.confidence


def test_an_update_is_a_signed_version_with_a_parent_in_shadow_and_a_trial(online, ledger):
    market = Market().days(200, slope=-1.0)
    this = online(market)
    made = this.next(None)
    version = this.registry.version(AGENT, 2)
    assert (version.parent_version, version.run_id) == (1, "run-1")
    assert (made.version, made.parent) == (
        version.label,
        this.registry.version(AGENT, 1).label,
    )
    assert made.outcomes == 200
    assert 0 < made.step <= this.settings.online.largest_step
    assert status(this, 2) is S.SHADOW
    assert status(this, 1) is S.LIVE
    installed = this.deployed.version(AGENT, 2)  # signature and hashes are checked on the way
    assert set(verify(installed.folder, AGENT).files) == {"model.safetensors", "model.json"}
    assert is_update(installed.folder)
    assert known_until(installed.folder) == max(
        e.occurred_at for e in market.experiences
    ) + timedelta(microseconds=1)
    (row,) = ledger
    assert (row.state, row.kind, row.parameters["parent"]) == ("FINISHED", "online", made.parent)
    assert len(row.manifest["experiences"]) == 200
    assert row.figures["slope"] == 0.0


def test_the_same_record_gives_the_same_bytes(online, tmp_path, registry, deployed):
    market = Market().days(200, slope=-1.0)
    this = online(market)
    this.next(None)
    settings = Settings(home=tmp_path / "again", clock="event")
    champion = this.deployed.version(AGENT, 1)
    again = replaced(this, settings=settings)
    # The registry knows the files: the same ones are the same version.
    assert again.update(champion, None).version == registry.version(AGENT, 2).label


def test_it_goes_live_when_outcomes_after_it_speak_for_it(online):
    market = Market().days(200, slope=-1.0)
    online(market).next(None)
    waiting, found = judged(online(market))
    assert (found.verdict.observations, found.purged) == (0, 200)
    assert not waiting.promoted
    this = online(market.days(150, slope=-1.0))
    promotion, found = judged(this)
    assert promotion.promoted
    assert found.purged == 200 + 5  # those proposed before the last outcome it learned from
    assert (status(this, 2), status(this, 1)) == (S.LIVE, S.RETIRED)
    assert this.deployed.current(AGENT).version.version == 2


def test_the_next_one_descends_from_it_and_the_drift_stays_bounded(online):
    market = Market().days(200, slope=-1.0)
    for _ in range(6):
        online(market).next(None)
        judged(online(market.days(150, slope=-1.0)))
    this = online(market)
    life = life_of(this.registry, AGENT)
    assert len(life.succession) >= 3
    parents = [this.registry.version(AGENT, n).parent_version for n in life.succession]
    assert parents == [None, *life.succession[:-1]]
    moved = np.abs(np.subtract(chances(this, life.live).y, CHANCES.y)).max()
    assert 0.1 < moved <= this.settings.online.largest_drift + 1e-9
    assert this.anchor(this.deployed.current(AGENT)).version.version == 1


def test_in_shadow_who_is_shown_to_be_worse_is_refused(online):
    market = Market().days(200, slope=-1.0)
    online(market).next(None)
    this = online(market.days(250, slope=3.0))
    promotion, _ = judged(this)
    assert not promotion.promoted
    assert "worse" in promotion.reason
    assert (status(this, 2), status(this, 1)) == (S.ABORTED, S.LIVE)


def test_an_open_verdict_waits_asks_nobody_and_makes_room_in_the_end(online, monkeypatch):
    market = Market().days(200, slope=0.4)
    online(market).next(None)
    open_one = "neither model is shown to be better"

    def even(differences, **given):
        return compare(np.where(np.arange(len(differences)) % 2, 0.1, -0.1), **given)

    monkeypatch.setattr(revoting, "compare", even)
    this = online(market.days(60, slope=0.4))
    waiting, _ = judged(this)
    assert open_one in waiting.reason
    assert (status(this, 2), waiting.asks) == (S.SHADOW, False)
    assert "on trial" in this.next(None).reason  # no second one beside it
    this = online(market.days(60, slope=0.4))
    judged(this)
    assert status(this, 2) is S.ABORTED


def test_one_whose_parent_decides_no_more_is_refused(online, registry, deployed, tmp_path):
    market = Market().days(200, slope=-1.0)
    this = online(market)
    this.next(None)
    other = register(registry, trained(tmp_path / "new", Knots((-1.0, 1.0), (0.4, 0.6))), 1)
    by = Mover("gate", "better")
    validated(registry, other, by, PromotionSettings())
    assert promote(registry, deployed, other, expected=1, by=by).promoted
    found, _ = judged(this)
    assert "decides no more" in found.reason
    assert status(this, 2) is S.ABORTED


def test_what_was_trained_anew_goes_on_trial_before_an_update(online, registry, deployed, tmp_path):
    this = online(Market().days(200, slope=-1.0))
    this.next(None)
    other = register(registry, trained(tmp_path / "new", Knots((-1.0, 1.0), (0.4, 0.6))), 1)
    by = Mover("gate", "better")
    validated(registry, other, by, PromotionSettings(trial=("SHADOW",)))
    promote(registry, deployed, other, expected=1, by=by)
    assert (status(this, 2), status(this, 3)) == (S.ABORTED, S.SHADOW)
    assert "makes room for version 3" in registry.moves(AGENT)[-2].reason
    assert this.deployed.life(AGENT).on_trial == 3


def live_update(online, market) -> Online:
    """Bring an update to life on a market that has turned around."""
    online(market.days(200, slope=-1.0)).next(None)
    judged(online(market.days(150, slope=-1.0)))
    this = online(market)
    assert status(this, 2) is S.LIVE
    return this


def test_live_it_is_taken_back_once_it_is_shown_to_be_worse_than_its_parent(online):
    market = Market()
    live_update(online, market)
    this = online(market.days(250, slope=1.5))
    found = this.next(None)
    assert found.reverted == this.registry.version(AGENT, 2).label
    assert "the challenger is worse" in found.reason
    assert (status(this, 2), status(this, 1)) == (S.ROLLED_BACK, S.LIVE)
    assert this.deployed.current(AGENT).version.version == 1
    assert this.registry.moves(AGENT)[-1].actor == "online learning"


def test_live_it_is_taken_back_where_it_has_drifted_further_than_is_allowed(online):
    market = Market()
    live_update(online, market)
    found = online(market, largest_drift=0.01, largest_step=0.01).next(None)
    assert "drifted" in found.reason
    assert found.reverted
    assert status(online(market), 1) is S.LIVE


def test_a_champion_as_training_left_it_is_never_taken_back(online):
    this = online(Market().days(300, slope=-1.0))
    assert this.why_revert(this.deployed.current(AGENT)) == ""


@pytest.mark.parametrize("count", [0, 1, 59])
def test_too_few_outcomes_change_nothing_and_try_nothing(online, ledger, count):
    this = online(Market().days(count, slope=-1.0))
    found = this.next(None)
    assert found.reason == f"{count} outcomes; 60 are needed."
    assert (found.version, ledger, this.registry.version(AGENT, 2)) == ("", [], None)


def test_an_update_that_fails_is_a_trial_too_and_leaves_everything(online, ledger, monkeypatch):
    def claims(model, lived, view, settings):
        return [revoting.Claim(float("nan"), right=True) for _ in lived]

    monkeypatch.setattr(revoting, "claims", claims)
    this = online(Market().days(100, slope=1.0))
    with pytest.raises(DataQualityError):
        this.next(None)
    assert [row.state for row in ledger] == ["FAILED"]
    assert this.registry.version(AGENT, 2) is None
    assert status(this, 1) is S.LIVE


def test_materialized_it_is_in_mlflow_with_its_trial(tmp_path):
    """The asset itself, on MLflow, with a real run of Dagster."""
    market = Market().days(200, slope=-1.0)
    settings = Settings(home=tmp_path / "home", clock="event")
    built = resources(settings)
    with dagster_instance(settings) as instance:
        registry = open_model_registry(settings)
        ensure_champion(registry, DeployedModels.of(settings), trained(tmp_path / "classic"))
        key = dg.AssetKey([AGENT.value, "online_update"])
        (asset,) = [a for a in online_updates if a.key == key]
        result = dg.materialize(
            [asset, experiences],
            selection=[key],
            instance=instance,
            resources={**built, "live": market, "store": market.store()},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    found = result.asset_value(key)
    version = registry.version(AGENT, 2)
    assert (found.version, version.parent_version) == (version.label, 1)
    assert version.deployment_status is S.SHADOW
    client = mlflow_client(mlflow_uri(settings))
    mlflow = SimpleNamespace(
        tracking_client=client, experiment=client.get_experiment_by_name(EXPERIMENT)
    )
    (row,) = trials_of(mlflow, AGENT, "online")
    assert (row.info.run_id, row.info.status) == (version.run_id, "FINISHED")
    assert read_artifact(mlflow, version.run_id, "manifest.json")["parent"] == found.parent
