"""The page: same input, same bytes; nothing asked of the outside; every doubt computed."""

import dataclasses
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from domain.errors import InvalidValue
from evaluation.report import empty_frame, render, write
from evaluation.report.account import Account
from evaluation.report.findings import Evidence, Weight, findings
from evaluation.report.inputs import COLUMNS, SCHEMAS
from evaluation.report.lineage import diagram, model_rows, walks
from evaluation.report.rule import RuleRecord
from evaluation.report.scorecards import agreements, scorecards

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def report(plausible_run):
    return plausible_run()


@pytest.fixture(scope="module")
def html(report):
    return render(report)


def _evidence(report):
    return Evidence(
        report, Account(report), scorecards(report), agreements(report), RuleRecord(report)
    )


def _found(report):
    return {finding.title: finding for finding in findings(_evidence(report))}


def test_the_page_shows_every_section_and_the_run(html, report):
    for section in ("headline", "equity", "trust", "decisions", "agents", "challenger",
                    "lineage", "costs", "data"):  # fmt: skip
        assert f'<section id="{section}"' in html
    assert report.run.decision_log_hash in html
    assert html.count('data-kind="') == report.decisions.height + 4  # rows and the four filters
    assert len(html.encode()) < 8 * MEGABYTE


def test_the_page_outside_plotly_names_no_host(html):
    own = "".join(part for part in html.split("</script>") if "plotly.js v" not in part)
    assert "http://" not in own
    assert "https://" not in own


def test_same_input_gives_the_same_bytes_whatever_the_order_of_rows(html, report):
    shuffled = {
        name: getattr(report, name).sample(fraction=1, shuffle=True, seed=1) for name in SCHEMAS
    }
    assert render(dataclasses.replace(report, **shuffled)) == html


def test_same_bytes_in_another_process_with_another_hash_seed():
    program = (
        "import hashlib, runpy; from evaluation.report import render;"
        f"made = runpy.run_path({str(Path(__file__).with_name('conftest.py'))!r});"
        "print(hashlib.sha256(render(made['_plausible'](days=40)).encode()).hexdigest())"
    )
    root = str(Path(__file__).parents[2])
    hashes = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": root},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(hashes) == 1


def test_a_run_in_which_nothing_happened_has_a_page(empty_run):
    html = render(empty_run)
    assert "Nothing was proposed" in html
    assert "nan" not in html.split("<main")[1].split("</main>")[0]


def test_text_from_outside_is_escaped(report):
    hostile = "<script>alert(1)</script>"
    decisions = report.decisions.with_columns(rationale=pl.lit(hostile))
    html = render(dataclasses.replace(report, decisions=decisions))
    assert hostile not in html
    assert "&lt;script&gt;alert(1)" in html


def test_wrong_columns_are_refused_by_name(report):
    with pytest.raises(InvalidValue, match="'votes' has wrong columns: score String"):
        dataclasses.replace(report, votes=report.votes.cast({"score": pl.String}))
    with pytest.raises(InvalidValue, match="pnl"):
        dataclasses.replace(report, outcomes=report.outcomes.drop("pnl"))


def test_every_frame_is_documented_and_can_be_empty():
    assert all(empty_frame(name).columns == list(columns) for name, columns in COLUMNS.items())


def test_write_leaves_one_whole_file(report, html, tmp_path):
    path = write(report, tmp_path / "reports" / "run.html")
    assert path.read_text() == html
    assert list(path.parent.iterdir()) == [path]


def test_account_figures_by_hand(empty_run):
    stamps = [datetime(2024, 1, day, 21, tzinfo=UTC) for day in (2, 3, 4)]
    equity = pl.DataFrame(
        {"timestamp": stamps, "equity": [100.0, 110.0, 99.0], "cash": [50.0] * 3,
         "gross_value": [50.0, 60.0, 49.0]},
        schema=SCHEMAS["equity"],
    )  # fmt: skip
    fills = pl.DataFrame(
        [("q-1", "d", stamps[0], "A", "BUY", 10.0, 5.0, 0.02, 20.0)],
        schema=SCHEMAS["executions"],
        orient="row",
    )
    account = Account(dataclasses.replace(empty_run, equity=equity, executions=fills))
    assert account.returns == pytest.approx([0.1, -0.1])
    assert account.traded_value == 50
    assert account.slippage == pytest.approx(0.1)
    assert account.cost_bps == pytest.approx(24)  # 0.02 + 0.10 on 50
    assert len(account.held_returns) == 0  # no benchmark on these days


def test_findings_of_a_plausible_run_come_worst_first(report):
    found = findings(_evidence(report))
    weights = [finding.weight for finding in found]
    assert weights == sorted(weights, reverse=True)
    titles = {finding.title for finding in found}
    assert {"Not shown to beat holding", "The symbols were chosen afterwards"} <= titles
    assert {"Votes were missing", "Where the news comes from"} <= titles


def test_a_long_steady_record_is_not_called_short(plausible_run):
    report = plausible_run(days=60)
    steady = report.equity.with_columns(
        equity=1e6 * 1.004 ** pl.int_range(pl.len()) * (1 + 0.001 * (pl.int_range(pl.len()) % 2))
    )
    found = _found(dataclasses.replace(report, equity=steady))
    assert "The record is short" not in found
    assert "Not shown to beat holding" not in found


def test_deflation_uses_the_trials(plausible_run):
    found = _found(plausible_run(days=60, trials=200, trial_sharpe_variance=0.05))
    assert found["Deflated for what was tried"].weight is Weight.SERIOUS
    assert "200 trials" in found["Deflated for what was tried"].sentence
    assert "Deflated for what was tried" not in _found(plausible_run(days=60, trials=1))


def test_agents_that_always_agree_are_called_one_voice(report):
    same = report.votes.with_columns(score=pl.lit(80, dtype=pl.Int64))
    assert "Two agents are one voice" in _found(dataclasses.replace(report, votes=same))


def test_clean_data_and_full_votes_raise_no_doubt(report):
    clean = dataclasses.replace(
        report,
        quality_checks=report.quality_checks.with_columns(passed=pl.lit(value=True)),
        quarantined=empty_frame("quarantined"),
        decisions=report.decisions.with_columns(degraded=pl.lit(value=False)),
    )
    assert not {"Some data was set aside", "Votes were missing"} & set(_found(clean))


def test_agreement_by_hand(empty_run):
    rows = [
        ("1", "market_analyst", 80), ("1", "risk_manager", 76),
        ("2", "market_analyst", 80), ("2", "risk_manager", 74),
        ("3", "market_analyst", 10),
    ]  # fmt: skip
    votes = pl.DataFrame(
        [(d, a, s, 0.6, True, "", "", "m@1:0", None) for d, a, s in rows],
        schema=SCHEMAS["votes"],
        orient="row",
    )
    pairs = agreements(dataclasses.replace(empty_run, votes=votes))
    assert pairs == [("market_analyst", "risk_manager", 0.5, 2)]


def _with_rewards(report, executed, rejected):
    executes = pl.col("outcome") == "EXECUTE"
    noise = pl.Series(np.random.default_rng(1).normal(0.0, 0.02, report.decisions.height))
    reward = pl.when(executes).then(executed).otherwise(rejected) + noise
    return dataclasses.replace(report, decisions=report.decisions.with_columns(reward=reward))


@pytest.mark.parametrize(
    ("executed", "rejected", "title", "words"),
    [
        (0.02, 0.0, None, "more than chance explains"),
        (0.0, 0.0, "The rule is not shown to choose well", "not distinguishable from chance"),
        (0.0, 0.02, "Executed did worse than rejected", "chose worse than chance explains"),
    ],
)
def test_the_page_says_plainly_whether_executing_beat_rejecting(
    report, executed, rejected, title, words
):
    changed = _with_rewards(report, executed, rejected)
    assert words in RuleRecord(changed).sentence
    assert words in render(changed)
    titles = {"The rule is not shown to choose well", "Executed did worse than rejected"}
    assert titles & set(_found(changed)) == ({title} if title else set())


def test_a_rule_that_leaves_more_than_a_quarter_to_a_person_is_called_unusable(report):
    def with_share(every):
        kind = pl.when(pl.int_range(pl.len()) % every == 0).then(pl.lit("MANUAL_REVIEW"))
        decisions = report.decisions.with_columns(outcome=kind.otherwise(pl.lit("EXECUTE")))
        return dataclasses.replace(report, decisions=decisions)

    assert "Too much is left to a person" in _found(with_share(3))
    assert "Too much is left to a person" not in _found(with_share(5))


def test_calibration_is_told_by_agent_and_by_regime(report, html):
    for card in scorecards(report):
        assert [regime for regime, _ in card.by_regime] == ["calm", "turbulent"]
        parts = [told for _, told in card.by_regime]
        assert sum(part.known for part in parts) == card.calibration.known
        mean = sum(part.known * part.brier.estimate for part in parts) / card.calibration.known
        assert mean == pytest.approx(card.calibration.brier.estimate)
        assert f"{card.calibration.log_loss.estimate:.3f}" in html


def test_lineage_names_the_models_that_voted_and_walks_to_the_money(report):
    rows = model_rows(report)
    assert sum(row.votes for row in rows) == report.votes.height
    refused = next(row for row in rows if row.status == "refused")
    assert refused.gate == "refused"
    account = Account(report)
    sizes = [abs(walk.pnl) for walk in walks(report, account)]
    assert sizes == sorted(sizes, reverse=True)
    assert all(walk.order and walk.fill and walk.models for walk in walks(report, account))
    drawn = diagram(report, account)
    assert len({(box.x, box.y) for box in drawn.boxes}) == len(drawn.boxes)
    assert all(box.y + drawn.box_height <= drawn.height for box in drawn.boxes)
