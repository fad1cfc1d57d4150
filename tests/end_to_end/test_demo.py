"""The main job as a user runs it, and that all it leaves agrees with itself."""

import json
import subprocess
from decimal import Decimal

import pytest

from adapters.market_data.folder import FolderMarketData
from adapters.model_registry import mlflow_uri, open_model_registry
from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.mlflow import mlflow_client
from adapters.time_series import open_time_series
from assets.revoting import lived_proposals, market_view, votes
from assets.sample import sample_folder
from assets.trials import EXPERIMENT
from domain.experience import Experience
from domain.limits import LimitsDeclared
from domain.market import MarketData
from domain.models import Alias, DeploymentStatus
from domain.orders import ExecutionReport, OrderStatus, OrderUpdated, Side
from domain.portfolio import PortfolioUpdated
from domain.ports.time_series import Table
from domain.voting import AgentId, ConsensusResult, Outcome
from orchestration.definitions import definitions
from orchestration.pipeline import dagster_instance
from tests.end_to_end.conftest import DAYS
from tests.end_to_end.processes import commands, environment, processes_of, quorum

pytestmark = pytest.mark.timeout(600)

STAGES = ("Empty", "Start PostgreSQL", "Learn", "Serve", "Trade", "Retrain", "Write the report")
SYMBOLS = 5


@pytest.fixture(scope="module")
def store(demo):
    return open_time_series(demo.settings)


@pytest.fixture(scope="module")
def registry(demo):
    return open_model_registry(demo.settings)


def events(record, kind):
    return [message for message in record.orders if isinstance(message, kind)]


def test_it_prints_every_stage_and_what_came_out(demo, record):
    assert demo.returncode == 0, demo.errors
    lines = [line.removeprefix("✓ ") for line in demo.output.splitlines() if line[:1] == "✓"]
    assert [line.startswith(stage) for line, stage in zip(lines, STAGES, strict=True)] == [True] * 7
    asked = {d.proposal.proposal_id: d.outcome for d in reversed(record.decisions)}
    outcomes = list(asked.values())
    assert demo.printed("Decisions") == ", ".join(
        f"{outcomes.count(outcome)} {outcome}" for outcome in Outcome
    )
    assert {Outcome.EXECUTE, Outcome.REJECT} <= set(outcomes)


def test_it_leaves_nothing_running(demo):
    assert demo.returncode == 0
    assert commands(processes_of(demo.home)) == []


def test_the_report_is_where_it_says_and_tells_of_this_run(demo, record):
    page = (demo.home / "reports" / "demo.html").read_text()
    assert demo.printed("Report") == str(demo.home / "reports" / "demo.html")
    assert demo.printed("Decision-log hash") in page
    assert all(decision.decision_id in page for decision in record.decisions)


def test_the_next_commands_work_as_printed(demo, tmp_path):
    explain, verify, up = demo.next_commands
    told = {}
    for command in (explain, verify):
        run = subprocess.run(
            ["bash", "-c", command],
            env=environment(tmp_path),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        told[command] = run.stdout
    steps = ("Tick", "Proposal", "Decision", "Order", "Fill", "Outcome", "On record")
    assert [step for step in steps if f"── {step}" not in told[explain]] == []
    assert demo.printed("Decision-log hash") in told[verify]
    assert up.endswith(" quorum up")  # run in test_platform.py


def test_the_other_commands_read_the_same_record(demo, record):
    decisions = json.loads(quorum(demo.home, "decisions", "--limit", "999", "--json").stdout)
    assert [d["decision_id"] for d in decisions] == [d.decision_id for d in record.decisions]
    table = quorum(demo.home, "decisions", "--limit", "999").stdout.splitlines()
    ids, heading = table[2:], table[1].split()
    assert heading[0] == "id"
    assert [row.split()[0] for row in ids] == [d.decision_id for d in record.decisions]
    versions = json.loads(quorum(demo.home, "models", "--json").stdout)
    assert sum(v["deployment_status"] == "LIVE" for v in versions) == len(AgentId)


def test_every_decision_has_four_votes_of_registered_models(record, registry, demo):
    deployed = DeployedModels.of(demo.settings)
    champions = {agent: deployed.current(agent).version.label for agent in AgentId}
    assert len(record.decisions) == record.frames["decisions"].height > 0
    for decision in record.decisions:
        assert isinstance(decision, ConsensusResult)
        assert {vote.agent_id: vote.model_version for vote in decision.counted} == champions
        assert decision.proposal.model_version == champions[AgentId.MARKET_ANALYST]
    assert record.frames["votes"].height == len(AgentId) * len(record.decisions)
    labels = {version.label for agent in AgentId for version in registry.versions(agent)}
    assert set(record.frames["votes"]["model_version"]) <= labels


def test_every_executed_decision_has_an_order_or_a_denial(record):
    executed = {d.decision_id for d in record.decisions if d.outcome is Outcome.EXECUTE}
    orders = record.frames["orders"]
    assert set(orders["decision_id"]) == executed
    assert orders["decision_id"].is_unique().all()
    for order in orders.iter_rows(named=True):
        assert (order["status"] == OrderStatus.DENIED) == bool(order["denied_by"])
    final = {m.order.client_order_id: m.status for m in events(record, OrderUpdated)}
    assert final == dict(orders.select("client_order_id", "status").iter_rows())


def test_every_fill_belongs_to_an_order_and_fills_it(record):
    orders = {m.order.client_order_id: m.order for m in events(record, OrderUpdated)}
    status = dict(record.frames["orders"].select("client_order_id", "status").iter_rows())
    filled = dict.fromkeys(orders, Decimal(0))
    for fill in events(record, ExecutionReport):
        order = orders[fill.client_order_id]
        assert (fill.symbol, fill.side) == (order.symbol, order.side)
        assert fill.executed_at > order.created_at
        filled[fill.client_order_id] += fill.quantity
    assert any(filled.values())
    for name, order in orders.items():
        assert (filled[name] == order.quantity) == (status[name] == OrderStatus.FILLED)
    assert record.frames["executions"].height == len(events(record, ExecutionReport))


def test_positions_are_the_sum_of_fills_and_cash_and_positions_are_equity(record, demo):
    cash, held = demo.settings.trading.starting_cash, {}
    equity = record.frames["equity"].iter_rows(named=True)
    for message in record.orders:
        if isinstance(message, ExecutionReport):
            sign = 1 if message.side is Side.BUY else -1
            cash -= sign * message.quantity * message.price + message.fee
            held[message.symbol] = held.get(message.symbol, 0) + sign * message.quantity
        if isinstance(message, PortfolioUpdated):
            portfolio, row = message.portfolio, next(equity)
            quantities = {p.symbol: p.quantity for p in portfolio.positions if p.quantity}
            assert quantities == {symbol: n for symbol, n in held.items() if n}
            assert abs(portfolio.cash - cash) < Decimal("1e-6")
            worth = sum(p.quantity * p.mark_price for p in portfolio.positions)
            assert abs(portfolio.equity - cash - worth) < Decimal("1e-6")
            assert row["equity"] == pytest.approx(float(portfolio.equity))
            assert row["occurred_at"] == message.occurred_at
    assert next(equity, None) is None
    assert len(events(record, PortfolioUpdated)) == SYMBOLS * DAYS


def test_every_bar_was_taken_in_and_every_effect_goes_back_to_one(record):
    bars = {bar.message_id: bar for bar in events(record, MarketData)}
    assert len(bars) == SYMBOLS * DAYS
    effects = [m for m in record.orders if not isinstance(m, LimitsDeclared)]
    assert len(effects) == len(record.orders) - 1
    for message in (*record.decisions, *effects):
        assert message.correlation_id in bars


def test_experiences_are_of_decisions_and_lie_in_the_replay_buffer(record, store):
    lived = events(record, Experience)
    assert {e.decision_id for e in lived} <= {d.decision_id for d in record.decisions}
    for experience in lived:
        assert sum(experience.agent_contributions.values()) == experience.reward
    ids = sorted(experience.message_id for experience in lived)
    assert sorted(record.frames["experiences"]["message_id"]) == ids
    assert sorted(store.read(Table.EXPERIENCES)["message_id"]) == ids
    assert ids


def test_bars_features_news_and_quarantine_account_for_every_row_of_the_source(store):
    bars, features, news = (store.read(t) for t in (Table.BARS, Table.FEATURES, Table.NEWS))
    quarantine = store.read(Table.QUARANTINE)
    assert bars.height + quarantine.height == FolderMarketData(sample_folder()).read().height
    keys = ["symbol", "timestamp"]
    assert features.select(keys).equals(bars.select(keys))
    assert set(news["symbol"]) == set(bars["symbol"])
    assert news["timestamp"].is_between(bars["timestamp"].min(), bars["timestamp"].max()).all()


def test_live_votes_are_the_votes_of_the_batch_plane(record, store, demo):
    lived = lived_proposals(record.decisions, record.orders)
    live = {
        (decision.proposal.proposal_id, vote.agent_id): (vote.score, vote.confidence_ppm)
        for decision in record.decisions
        for vote in decision.counted
    }
    view = market_view(store)
    for agent in AgentId:
        champion = DeployedModels.of(demo.settings).current(agent)
        for again in votes(champion, lived, view, demo.settings):
            assert live[again.proposal_id, agent] == (again.score, again.confidence_ppm)


def test_aliases_pointers_and_statuses_name_the_same_models(registry, demo):
    deployed = DeployedModels.of(demo.settings)
    for agent in AgentId:
        versions = registry.versions(agent)
        champion = registry.version(agent, Alias.CHAMPION)
        assert deployed.current(agent).version.label == champion.label
        assert [v.label for v in versions if v.deployment_status is DeploymentStatus.LIVE] == [
            champion.label
        ]
        assert [v.version for v in versions] == list(range(1, len(versions) + 1))
        assert len(versions) == (3 if agent is AgentId.MARKET_ANALYST else 2)


def test_every_training_run_is_a_finished_trial(registry, demo):
    client = mlflow_client(mlflow_uri(demo.settings))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    trials = {
        run.info.run_id: run for run in runs if run.data.tags.get("quorum.agent") in set(AgentId)
    }
    versions = [version for agent in AgentId for version in registry.versions(agent)]
    assert {version.run_id for version in versions} == set(trials)
    for version in versions:
        assert trials[version.run_id].data.params["data_version"] == version.data_version


def test_dagster_knows_both_runs_and_every_asset(demo):
    with dagster_instance(demo.settings) as instance:
        runs = {run.job_name: run.status.value for run in instance.get_runs()}
        assert runs == {"batch": "SUCCESS", "retrain_market_analyst": "SUCCESS"}
        keys = definitions(demo.settings).resolve_asset_graph().get_all_asset_keys()
        made = {
            key for key, event in instance.get_latest_materialization_events(keys).items() if event
        }
    retraining = {"retrained_model", "challenger", "ab_test", "rollout"}
    of_others = {(agent, stage) for agent in AgentId for stage in retraining} - {
        (AgentId.MARKET_ANALYST, stage) for stage in retraining
    }
    asked_for = ("as_of_model", "search", "rollback", "trial", "online_update")
    of_others |= {(agent, stage) for agent in AgentId for stage in asked_for}
    of_others |= {("asset_health",), ("portfolio_history",), ("second_store",)}
    assert {tuple(key.path) for key in set(keys) - made} == of_others
