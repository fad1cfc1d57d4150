"""The batch plane whole, on three years of two stocks: what it makes, refuses and leaves alone."""

import asyncio
import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from pydantic import SecretStr

from adapters.ledger import open_ledger
from adapters.model_registry import mlflow_uri, open_model_registry
from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.mlflow import mlflow_client
from adapters.time_series import open_time_series
from agents.model_files import load
from assets.sample import sample_folder
from assets.sentiment import TRIALS as HEADLINE_TRIALS
from assets.trials import EXPERIMENT
from domain.errors import DataQualityError, ModelRefused
from domain.experience import Experience
from domain.identity import derive_id
from domain.messages import Message
from domain.models import Alias
from domain.money import canonical
from domain.portfolio import Portfolio
from domain.ports.ledger import Commit, Log
from domain.ports.time_series import Table
from domain.settings import Settings, TrainingSettings
from domain.voting import Action, AgentId, ConsensusResult, Outcome, Thresholds, TradingProposal
from orchestration.definitions import definitions
from orchestration.pipeline import dagster_instance, run_pipeline, run_retraining
from orchestration.tracking import close_runs

ANALYST = AgentId.MARKET_ANALYST
UNTIL = date(2011, 6, 1)


def make_folder(folder: Path) -> Path:
    """Write two stocks' 2009–2011 as a user would: a CSV file each."""
    folder.mkdir()
    bars = pl.read_parquet(sample_folder() / "wiki_ohlcv_2000_2013.parquet")
    years = bars.filter(pl.col("date").is_between(date(2009, 1, 1), date(2011, 12, 31)))
    for symbol in ("AAPL", "IBM"):
        own = years.filter(pl.col("symbol").cast(pl.String) == symbol)
        own.write_csv(folder / f"{symbol}.csv")
    return folder


def make_settings(home: Path, folder: Path, until: date = UNTIL) -> Settings:
    return Settings(home=home, data_folder=folder, training=TrainingSettings(until=until))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Run the batch plane once for all tests that only look."""
    root = tmp_path_factory.mktemp("batch")
    settings = make_settings(root / "home", make_folder(root / "data"))
    steps = []
    return settings, run_pipeline(settings, steps.append), steps


@pytest.fixture
def copied(trained, tmp_path):
    """Return settings of a copy of the trained state, to be changed at will."""
    settings, _, _ = trained
    shutil.copytree(settings.home.parent, tmp_path / "copy")
    return make_settings(tmp_path / "copy" / "home", tmp_path / "copy" / "data")


def test_every_stage_ran_and_is_timed(trained):
    _, result, steps = trained
    stages = [
        "ingestion", "data_quality", "features", "sentiment", "training",
        "validation", "registration", "promotion", "monitoring",
    ]  # fmt: skip
    assert set(result.seconds) == {*stages, "start", "total"}
    assert {step.stage for step in steps} == set(stages)
    assert sum(v for k, v in result.seconds.items() if k != "total") == pytest.approx(
        result.seconds["total"]
    )


def test_every_check_of_the_data_passed(trained):
    _, result, _ = trained
    failed = [c for c in result.checks if not c.passed and c.severity == "ERROR"]
    assert not failed
    assert {"rows_accepted", "bars_as_expected", "features_without_look_ahead"} <= {
        c.name for c in result.checks
    }


def test_the_classic_policy_is_version_one_and_what_is_learned_has_to_beat_it(trained):
    settings, result, _ = trained
    registry = open_model_registry(settings)
    assert set(result.promotions) == set(AgentId)
    for agent, found in result.promotions.items():
        first, second = registry.versions(agent)
        assert found.candidate == second.label
        assert found.champion == (second if found.promoted else first).label
        assert found.reason


def test_what_is_deployed_is_the_champion_and_can_be_loaded(trained):
    settings, result, _ = trained
    for agent, found in result.promotions.items():
        current = DeployedModels.of(settings).current(agent)
        assert current.version.label == found.champion
        assert load(current.folder, agent).specification.agent is agent


def mlflow_runs(settings: Settings) -> list:
    client = mlflow_client(mlflow_uri(settings))
    return list(client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id]))


def test_every_training_is_a_trial_and_none_is_left_running(trained):
    settings, result, _ = trained
    runs = mlflow_runs(settings)
    assert {run.info.status for run in runs} == {"FINISHED"}
    trials = [run for run in runs if "quorum.agent" in run.data.tags]
    trials = [run for run in trials if run.data.tags["quorum.agent"] != HEADLINE_TRIALS]
    assert len(trials) == 8
    assert {run.data.params["seed"] for run in trials} == {"7"}
    assert len({run.data.params["data_version"] for run in trials}) == 1
    parents = [run for run in runs if "quorum.agent" not in run.data.tags]
    assert {run.data.tags["dagster_run_id"] for run in parents} == {result.run_id}


def test_lineage_goes_from_a_version_to_its_run_and_its_data(trained):
    settings, _, _ = trained
    by_id = {run.info.run_id: run for run in mlflow_runs(settings)}
    version = open_model_registry(settings).version(ANALYST, 2)
    assert by_id[version.run_id].data.params["data_version"] == version.data_version
    bars_version = by_id[version.run_id].data.params["table_bars"]
    store = open_time_series(settings)
    assert store.read(Table.BARS, version=bars_version).height == 2 * 756


def test_features_end_where_bars_do_and_say_nothing_of_the_future(trained):
    settings, _, _ = trained
    store = open_time_series(settings)
    bars, features = store.read(Table.BARS), store.read(Table.FEATURES)
    assert features.select("symbol", "timestamp").equals(bars.select("symbol", "timestamp"))


def test_a_second_run_on_the_same_data_changes_nothing(copied, trained):
    before = {a: open_model_registry(copied).versions(a) for a in AgentId}
    store = open_time_series(copied)
    versions = {table: store.version(table) for table in Table}
    again = run_pipeline(copied)
    assert {a: len(v) for a, v in before.items()} == {
        a: len(open_model_registry(copied).versions(a)) for a in AgentId
    }
    assert versions == {table: store.version(table) for table in Table}
    assert {a: p.champion for a, p in again.promotions.items()} == {
        a: p.champion for a, p in trained[1].promotions.items()
    }


def materialized(instance: dg.DagsterInstance, run_id: str) -> set[tuple[str, str | None]]:
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    return {(e.dagster_event.asset_key.to_user_string(), e.dagster_event.partition) for e in events}


def test_one_month_made_again_touches_only_what_depends_on_it(copied):
    store = open_time_series(copied)
    bars, features = store.read(Table.BARS), store.read(Table.FEATURES)
    path = copied.data_folder / "IBM.csv"
    rows = path.read_text().splitlines()
    at = next(i for i, row in enumerate(rows) if row.startswith("2011-03-15"))
    before, volume = rows[at].rsplit(",", 1)
    rows[at] = f"{before},{int(volume) + 1000}"
    path.write_text("\n".join(rows) + "\n")

    job = definitions(copied).resolve_job_def("market_data")
    with dagster_instance(copied) as instance:
        run = job.execute_in_process(instance=instance, partition_key="2011-03-01")
        made = materialized(instance, run.run_id)
    assert {key for key in made if key[1]} == {
        ("bars", "2011-03-01"),
        ("features", "2011-03-01"),
    }
    assert {key for key, month in made if not month} == {
        "raw_bars",
        "assessed_bars",
        "assessed_news",
        "assessed_order_books",
        "data_quality_report",
        "quarantine",
        "news",
        "order_books",
    }
    march = pl.col("timestamp").dt.strftime("%Y-%m") == "2011-03"
    assert store.read(Table.BARS).filter(~march).equals(bars.filter(~march))
    assert store.read(Table.FEATURES).filter(~march).equals(features.filter(~march))
    changed = store.read(Table.BARS).join(bars, on=["symbol", "timestamp", "volume"], how="anti")
    assert changed.select("symbol", pl.col("timestamp").dt.date()).rows() == [
        ("IBM", date(2011, 3, 15))
    ]


def test_a_month_alone_is_bit_for_bit_the_month_within_the_range(copied):
    store = open_time_series(copied)
    features = store.read(Table.FEATURES)
    march = {
        "start": datetime(2011, 3, 1, tzinfo=UTC),
        "end": datetime(2011, 4, 1, tzinfo=UTC),
    }
    store.replace(Table.FEATURES, features.clear(), **march)
    job = definitions(copied).resolve_job_def("market_data")
    assert job.execute_in_process(partition_key="2011-03-01").success
    assert store.read(Table.FEATURES).equals(features)


def spoilt(folder: Path, symbol: str, every: int) -> None:
    """Make every n-th bar of a symbol impossible: its high below its low."""
    path = folder / f"{symbol}.csv"
    frame = pl.read_csv(path).with_row_index("row")
    bad = pl.col("row") % every == 1
    high = pl.when(bad).then(pl.col("low") / 2).otherwise(pl.col("high")).alias("high")
    frame.with_columns(high).drop("row").write_csv(path)


def test_bad_data_is_quarantined_and_nothing_is_trained_on_it(tmp_path):
    folder = make_folder(tmp_path / "data")
    for symbol in ("AAPL", "IBM"):
        spoilt(folder, symbol, every=3)
    settings = make_settings(tmp_path / "home", folder)
    with pytest.raises(DataQualityError, match="rows_accepted") as refused:
        run_pipeline(settings)
    assert "in quarantine" in refused.value.kept
    trained = {folder.name for folder in (settings.home / "training").iterdir()}
    assert trained <= {HEADLINE_TRIALS}
    assert not (settings.home / "models").exists()


def test_good_symbols_go_on_where_another_is_bad(tmp_path):
    folder = make_folder(tmp_path / "data")
    spoilt(folder, "IBM", every=200)
    (folder / "GOOG.csv").write_text("")
    settings = make_settings(tmp_path / "home", folder)
    job = definitions(settings).resolve_job_def("market_data")
    span = {
        "dagster/asset_partition_range_start": "2009-01-01",
        "dagster/asset_partition_range_end": "2011-12-01",
    }
    assert job.execute_in_process(tags=span).success
    store = open_time_series(settings)
    assert dict(store.read(Table.BARS)["symbol"].value_counts().iter_rows()) == {
        "AAPL": 756,
        "IBM": 752,
    }
    refused = store.read(Table.QUARANTINE)
    assert sorted(refused["reason"].to_list()) == ["empty_file", *["high_below_low"] * 4]
    assert set(refused["source"]) >= {"GOOG.csv", "IBM.csv:2"}


def test_a_mended_row_leaves_the_quarantine(tmp_path):
    folder = make_folder(tmp_path / "data")
    spoilt(folder, "IBM", every=200)
    settings = make_settings(tmp_path / "home", folder)
    job = definitions(settings).resolve_job_def("market_data")
    store = open_time_series(settings)
    heights = []
    for _ in range(2):
        assert job.execute_in_process(partition_key="2010-01-01").success
        heights.append(store.read(Table.QUARANTINE).height)
        shutil.rmtree(folder)
        make_folder(folder)
    assert heights == [4, 0]


def test_a_training_that_fails_is_a_trial_too(copied):
    early = copied.model_copy(update={"training": TrainingSettings(until=date(2009, 3, 1))})
    with pytest.raises(DataQualityError):
        run_pipeline(early)
    trials = [run for run in mlflow_runs(copied) if "quorum.agent" in run.data.tags]
    assert [run.info.status for run in trials].count("FAILED") == 1
    trials = [run for run in trials if run.data.tags["quorum.agent"] != HEADLINE_TRIALS]
    assert len(trials) == 9


def test_runs_that_a_dead_process_left_open_are_ended(copied):
    client = mlflow_client(mlflow_uri(copied))
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    parent = client.create_run(experiment, tags={"dagster_run_id": "dead"}).info.run_id
    nested = client.create_run(experiment, tags={"quorum.dagster_run": "dead"}).info.run_id
    other = client.create_run(experiment, tags={"dagster_run_id": "alive"}).info.run_id
    assert set(close_runs(copied, "dead")) == {parent, nested}
    status = {run.info.run_id: run.info.status for run in mlflow_runs(copied)}
    assert [status[r] for r in (parent, nested, other)] == ["KILLED", "KILLED", "RUNNING"]
    assert close_runs(copied, "dead") == []


def test_retraining_without_experiences_or_champion_says_what_is_missing(
    trained, copied, ledger_url, tmp_path
):
    with_ledger = copied.model_copy(update={"ledger_url": SecretStr(ledger_url)})
    with pytest.raises(DataQualityError, match="no experiences"):
        run_retraining(with_ledger, ANALYST)
    shutil.rmtree(copied.home / "models")
    asyncio.run(record(ledger_url, lived(copied)))
    with pytest.raises(ModelRefused, match="no champion"):
        run_retraining(with_ledger, ANALYST)


def test_retraining_learns_from_the_first_quarter_and_is_tested_on_the_rest(copied, ledger_url):
    settings = copied.model_copy(update={"ledger_url": SecretStr(ledger_url)})
    messages = lived(settings)
    asyncio.run(record(ledger_url, messages))
    before = open_model_registry(settings).version(ANALYST, Alias.CHAMPION).label
    result = run_retraining(settings, ANALYST)

    proposals = sum(isinstance(m, ConsensusResult) for m in messages)
    assert open_time_series(settings).read(Table.EXPERIENCES).height == proposals
    comparison, promotion = result.comparison, result.promotion
    assert comparison.proposals + comparison.purged == proposals
    assert 0 < comparison.purged < proposals
    assert comparison.champion == before
    assert comparison.challenger == promotion.candidate
    assert promotion.reason
    learned_from = {
        run.data.params["kind"]: int(run.data.params["rows_experiences"])
        for run in mlflow_runs(settings)
        if run.data.params.get("agent") == ANALYST
    }
    assert learned_from == {"classic": 0, "trained": 0, "retrained": proposals // 4}
    assert promotion.champion == (promotion.candidate if promotion.promoted else before)
    deployed = DeployedModels.of(settings).current(ANALYST)
    assert deployed.version.label == promotion.champion

    run_retraining(settings, ANALYST)
    assert open_time_series(settings).read(Table.EXPERIENCES).height == proposals


def lived(settings: Settings) -> list[Message]:
    """Return what a live plane would have recorded: a buy of each stock on every other day."""
    store = open_time_series(settings)
    start = datetime(2011, 6, 1, tzinfo=UTC)
    bars, features = (store.read(t, start=start) for t in (Table.BARS, Table.FEATURES))
    messages: list[Message] = []
    for symbol in ("AAPL", "IBM"):
        own = bars.filter(symbol=symbol).to_dicts()
        known = features.filter(symbol=symbol).to_dicts()
        for i in range(0, len(own) - 5, 2):
            state = {n: v for n, v in known[i].items() if isinstance(v, float)}
            messages += decided(symbol, own[i], own[i + 5], state)
    return messages


def decided(symbol: str, bar: dict, later: dict, state: dict[str, float]) -> list[Message]:
    at = bar["timestamp"]
    cause = derive_id("bar", symbol, at.isoformat())
    price = canonical(round(bar["close"], 6))
    proposal = TradingProposal(
        message_id=derive_id("proposal", cause),
        correlation_id=cause,
        causation_id=cause,
        occurred_at=at,
        symbol=symbol,
        action=Action.BUY,
        quantity=Decimal(10),
        reference_price=price,
        price_target=price * Decimal("1.05"),
        horizon_days=5,
        rationale="a test",
        confidence_ppm=500_000,
        features={n: canonical(round(v, 6)) for n, v in state.items()},
        portfolio=Portfolio(cash=Decimal(100_000)),
        model_version="test",
    )
    decision = ConsensusResult(
        message_id=derive_id("decision", proposal.proposal_id),
        correlation_id=cause,
        causation_id=proposal.message_id,
        occurred_at=at,
        proposal=proposal,
        outcome=Outcome.REJECT,
        reason="consensus",
        weighted_score=None,
        variance=None,
        participation=0,
        degraded=True,
        counted=(),
        ignored=(),
        rule_version="1",
        thresholds=Thresholds(),
    )
    experience = Experience(
        message_id=derive_id("experience", decision.decision_id),
        correlation_id=cause,
        occurred_at=later["timestamp"],
        decision_id=decision.decision_id,
        symbol=symbol,
        state=proposal.features,
        action=Action.BUY,
        outcome=decision.outcome,
        reward=canonical(round(later["close"] / bar["close"] - 1.0005, 6)),
        next_state={},
        horizon_days=5,
        agent_contributions={},
        scores={},
        confidences_ppm={},
    )
    return [decision, experience]


async def record(url: str, messages: list[Message]) -> None:
    ledger = open_ledger(Settings(ledger_url=SecretStr(url)))
    for log, kind in ((Log.DECISIONS, ConsensusResult), (Log.ORDERS, Experience)):
        events = tuple(m for m in messages if isinstance(m, kind))
        lease = await ledger.acquire(log, 0)
        await ledger.commit(lease, Commit(expected_sequence=lease.sequence, events=events))
        await ledger.release(lease)
    await ledger.close()
