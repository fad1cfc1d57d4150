"""Online learning: the champion's calibration follows its outcomes, as versions on trial.

An update is a version like any other, whose parent is the champion it was made of. It stands in
SHADOW until the sequential test of its own claims against its parent's, on outcomes after those
it learned from, lets it go live (`assets.trial`). What is live goes on being held to its parent,
and is taken back once it is shown to be worse, or has drifted too far from what was trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import msgspec

from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.manifest import as_json
from assets.code_version import code_version
from assets.experience import experiences
from assets.live_record import LiveRecord
from assets.promotion import deployment_check
from assets.records import Comparison, ModelFolder, OnlineUpdate
from assets.registration import register
from assets.retraining import champion_of
from assets.rollback import Rollback, roll_back
from assets.succession import (
    ONLINE_LEARNING,
    Mover,
    life_of,
    promote,
    reconcile,
    validated,
)
from assets.training import CODE_VERSION, keep_files
from assets.trials import trial
from domain.errors import ModelRefused
from domain.models import ModelVersion
from domain.ports.ledger import Log
from domain.ports.model_registry import ModelRegistry
from domain.ports.model_source import DeployedModel
from domain.ports.time_series import Table, TimeSeriesStore
from domain.settings import PromotionSettings, Settings
from domain.voting import AgentId
from evaluation.sequential import Verdict, minimum_observations

if TYPE_CHECKING:
    from agents.learning.online import Update
    from agents.model import Specification
    from assets.revoting import Claim, Lived

KIND = "online"
MEASURE = "Brier score of the chance that executing proves right"
#: An outcome spans days, so an update is tried beside the champion, and on nobody's money.
_SHADOW_ONLY = PromotionSettings(trial=("SHADOW",))


class _Specification(msgspec.Struct):
    trained_until: datetime
    updated_until: datetime | None = None


def known_until(folder: Path) -> datetime:
    """Return the end of what the model in `folder` has seen: of training, or of an update."""
    found = _read(folder)
    return found.updated_until or found.trained_until


def is_update(folder: Path) -> bool:
    """Tell whether the model in `folder` was made by online learning."""
    return _read(folder).updated_until is not None


def patience(settings: Settings) -> int:
    """Return the observations in shadow after which an open verdict makes room."""
    from agents.learning.samples import HORIZON_DAYS  # noqa: PLC0415 - imports polars

    return settings.online.patience * minimum_observations(HORIZON_DAYS)


@dataclass(frozen=True)
class Online:
    """One agent's online learning, on what this run has open."""

    agent: AgentId
    live: LiveRecord
    store: TimeSeriesStore
    settings: Settings
    registry: ModelRegistry
    deployed: DeployedModels

    def next(self, mlflow: Any) -> OnlineUpdate:  # noqa: ANN401 - dagster-mlflow's object
        """Take back what must not stay; else make the next update, if there is one."""
        reconcile(self.registry, self.deployed, self.agent)
        champion = champion_of(self.deployed, self.agent)
        if why := self.why_revert(champion):
            asked = Rollback(version=champion.version.version, actor=ONLINE_LEARNING, reason=why)
            found = roll_back(self.registry, self.deployed, self.agent, asked)
            return self._nothing(found.champion, why, reverted=champion.version.label)
        life = life_of(self.registry, self.agent)
        if (busy := life.on_trial) is not None:
            return self._nothing(champion.version.label, f"Version {busy} is on trial.")
        return self.update(champion, mlflow)

    def why_revert(self, champion: DeployedModel) -> str:
        """Return why the champion must be taken back; empty if it is no update, or may stay."""
        if not is_update(champion.folder):
            return ""
        from agents.learning.online import drift  # noqa: PLC0415 - imports torch

        drifted = drift(self._specification(self.anchor(champion)), self._specification(champion))
        most = self.settings.online.largest_drift
        if drifted > most + 1e-6:
            return f"A chance has drifted by {drifted:.4f} since training, {most:g} is allowed."
        moves = self.registry.moves(self.agent)
        since = [move for move in moves if move.version == champion.version.version][-1]
        found = self.comparison(champion.version, since.occurred_at)
        worse = found.verdict.verdict is Verdict.REFUSE
        return f"Live, against its parent: {found.verdict.reason}" if worse else ""

    def comparison(self, update: ModelVersion, since: datetime) -> Comparison:
        """Hold an update's claims against its parent's, on the proposals from `since` on."""
        from assets import revoting  # noqa: PLC0415 - imports torch

        assert update.parent_version is not None  # noqa: S101 - every update has one
        sides = [self._installed(n) for n in (update.parent_version, update.version)]
        lived = self._lived()
        fresh = [each for each in lived if each.at >= since]
        view = revoting.market_view(self.store)
        said = revoting.compared_claims(
            fresh,
            *(revoting.claims(side, fresh, view, self.settings) for side in sides),
            horizon=patience(self.settings),
        )
        return Comparison(
            agent=self.agent,
            challenger=update.label,
            champion=sides[0].version.label,
            measure=MEASURE,
            verdict=said.verdict,
            instants=tuple(instant.isoformat() for instant in said.instants),
            differences=tuple(said.differences),
            proposals=len(fresh),
            purged=len(lived) - len(fresh),
        )

    def update(self, champion: DeployedModel, mlflow: Any) -> OnlineUpdate:  # noqa: ANN401
        """Make the champion's next update, register it, and put it into shadow.

        An update is a trial of the ledger, also where it fails or changes nothing; where there
        are too few outcomes to learn from, nothing is tried.
        """
        from assets import revoting  # noqa: PLC0415 - imports torch

        policy, label = self.settings.online, champion.version.label
        anchor = self.anchor(champion)
        view = revoting.market_view(self.store)
        # What the anchor was trained on says nothing of its claims.
        lived = [each for each in self._lived() if each.at >= known_until(anchor.folder)]
        lived = lived[-policy.window :]
        said = revoting.claims(anchor, lived, view, self.settings)
        learned = [(each, claim) for each, claim in zip(lived, said, strict=True) if claim]
        if len(learned) < policy.least_outcomes:
            few = f"{len(learned)} outcomes; {policy.least_outcomes} are needed."
            return self._nothing(label, few)
        until = max(each.experience.occurred_at for each, _ in learned) + timedelta(microseconds=1)
        parameters = {
            "agent": self.agent, "kind": KIND, "parent": label, "anchor": anchor.version.label,
            "until": until.isoformat(), "outcomes": len(learned), "code_version": CODE_VERSION,
            **policy.model_dump(mode="json"),
        }  # fmt: skip
        with trial(mlflow, self.agent, KIND, parameters) as run:
            made = self._updated(champion, anchor, [claim for _, claim in learned], until)
            if made is None:
                return self._nothing(label, "The outcomes ask for no change.", len(learned))
            run.measured(_figures(made))
            ids = sorted(each.experience.message_id for each, _ in learned)
            data_version = sha256("\n".join(ids).encode()).hexdigest()
            folder = self._kept(champion, made, data_version)
            run.keep({**parameters, "data_version": data_version, "experiences": ids}, folder)
        version = register(
            self.registry,
            ModelFolder(
                agent=self.agent, folder=str(folder), kind=KIND, run_id=run.run_id,
                until=until.isoformat(), metrics=_figures(made), data_version=data_version,
                code_version=CODE_VERSION, experiences=len(learned),
            ),
            champion.version.version,
        )  # fmt: skip
        return self._into_shadow(champion, version, made, len(learned), until)

    def anchor(self, model: DeployedModel) -> DeployedModel:
        """Return the model that training made, of which `model` is a descendant by updates."""
        while is_update(model.folder):
            assert model.version.parent_version is not None  # noqa: S101 - every update has one
            model = self._installed(model.version.parent_version)
        return model

    def _into_shadow(
        self, champion: DeployedModel, version: ModelVersion, made: "Update", outcomes: int,
        until: datetime,
    ) -> OnlineUpdate:  # fmt: skip
        evidence = sha256(as_json(_figures(made)).encode()).hexdigest()
        at = datetime.now(UTC) if self.settings.clock == "system" else until
        by = Mover(ONLINE_LEARNING, f"Within its bounds: {made.step:.4f} a step.", evidence, at)
        validated(self.registry, version, by, _SHADOW_ONLY)
        parent = champion.version
        promotion = promote(self.registry, self.deployed, version, expected=parent.version, by=by)
        return OnlineUpdate(
            agent=self.agent, version=version.label, parent=parent.label, outcomes=outcomes,
            step=made.step, drift=made.drift, reason=promotion.reason,
        )  # fmt: skip

    def _updated(
        self,
        champion: DeployedModel,
        anchor: DeployedModel,
        learned: "Sequence[Claim]",
        until: datetime,
    ) -> "Update | None":
        import numpy as np  # noqa: PLC0415 - assets import late

        from agents.learning.online import Bounds, update  # noqa: PLC0415
        from agents.learning.samples import HORIZON_DAYS  # noqa: PLC0415

        policy = self.settings.online
        return update(
            self._specification(anchor),
            self._specification(champion),
            np.array([claim.chance for claim in learned]),
            np.array([claim.right for claim in learned]),
            until=until,
            bounds=Bounds(policy.least_outcomes, policy.largest_step, policy.largest_drift),
            independent_share=1.0 / HORIZON_DAYS,
        )

    def _kept(self, champion: DeployedModel, made: "Update", data_version: str) -> Path:
        from agents.model import Model, TrainedModel  # noqa: PLC0415 - imports torch
        from agents.model_files import load  # noqa: PLC0415

        network = load(champion.folder, self.agent).network
        whole = TrainedModel(
            model=Model(made.specification, network),
            metrics=_figures(made),
            loss_curve=[],
            rows={},
            seed=self.settings.seed,
        )
        return keep_files(self.settings.home / "training" / self.agent, whole, data_version)

    def _specification(self, model: DeployedModel) -> "Specification":
        from agents.model_files import load  # noqa: PLC0415 - imports torch

        return load(model.folder, self.agent).specification

    def _installed(self, number: int) -> DeployedModel:
        version = self.registry.version(self.agent, number)
        if version is None:
            raise ModelRefused(
                f"The registry has no version {number} of {self.agent}, from which others descend.",
                next_step="Train again, and start online learning from that model.",
            )
        return self.deployed.install(self.registry, version)

    def _lived(self) -> "list[Lived]":
        from agents.learning.experiences import experiences_of  # noqa: PLC0415 - imports numpy
        from assets.revoting import lived_proposals  # noqa: PLC0415 - imports torch

        matured = experiences_of(self.store.read(Table.EXPERIENCES))
        return lived_proposals(self.live.messages(Log.DECISIONS), matured)

    def _nothing(
        self, label: str, reason: str, outcomes: int = 0, *, reverted: str = ""
    ) -> OnlineUpdate:
        return OnlineUpdate(
            agent=self.agent, parent=label, outcomes=outcomes, reverted=reverted, reason=reason
        )


def _figures(made: "Update") -> dict[str, float]:
    return {**made.correction._asdict(), "step": made.step, "drift": made.drift}


def _read(folder: Path) -> _Specification:
    return msgspec.json.decode((folder / "model.json").read_bytes(), type=_Specification)


def _online_update(agent: AgentId) -> dg.AssetsDefinition:
    @dg.asset(
        key=[agent.value, "online_update"],
        group_name="online_learning",
        owners=["team:research"],
        kinds={"mlflow", "deltalake"},
        tags={"stage": "online_learning", "agent": agent.value},
        io_manager_key="files",
        deps=[experiences],
        code_version=code_version("agents", "assets.online_learning", "assets.revoting"),
        description="The champion's calibration one bounded step further, as a version in shadow; "
        "or an update that has to go is taken back.",
    )
    def online_update(
        *,
        live: dg.ResourceParam[LiveRecord],
        store: dg.ResourceParam[TimeSeriesStore],
        settings: dg.ResourceParam[Settings],
        registry: dg.ResourceParam[ModelRegistry],
        deployed: dg.ResourceParam[DeployedModels],
        mlflow: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        found = Online(agent, live, store, settings, registry, deployed).next(mlflow)
        return dg.MaterializeResult(
            value=found, metadata={**msgspec.to_builtins(found), "agent": agent.value}
        )

    return online_update


online_updates = [_online_update(agent) for agent in AgentId]
online_update_checks = [
    deployment_check(dg.AssetKey([agent.value, "online_update"]), agent) for agent in AgentId
]
