"""The life of the model that reads headlines: labels, training, gate, and what agents take up."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
import polars as pl

from adapters.time_series.rows import content_hash
from assets.code_version import code_version
from assets.invented_headlines import invented_headlines
from assets.metadata import frame_metadata
from assets.records import HeadlineModelFolder, HeadlineReaderServed
from assets.trials import trial, trials_of
from assets.validation import validation_metadata
from assets.written_headlines import written_headlines
from domain.errors import DataQualityError
from domain.settings import ReaderKind, Settings
from domain.voting import AgentId
from evaluation.gate import (
    Check,
    CheckOutcome,
    GateReport,
    finite_check,
    judge,
    skill_check,
)

if TYPE_CHECKING:
    from agents.sentiment.reading import Reader

_GROUP = "sentiment"
_OWNERS = ["team:research"]
_CODE_VERSION = code_version("agents.sentiment")
#: Whose trials they are in the trials ledger.
TRIALS = "headlines"
_READERS = {".csv": pl.read_csv, ".parquet": pl.read_parquet}


def read_labelled(path: Path) -> pl.DataFrame:
    """Return the rows of a Parquet or CSV file, or of all such files in a folder, by name.

    Raises
    ------
    DataQualityError
        If there is none, or one can't be read.
    """
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in files if file.suffix.lower() in _READERS]
    try:
        frames = [_READERS[file.suffix.lower()](file) for file in files]
        return pl.concat(frames, how="diagonal")
    except (pl.exceptions.PolarsError, OSError, ValueError) as problem:
        raise DataQualityError(
            f"{path} can't be read: {(str(problem) or 'no such file').splitlines()[0]}.",
            next_step="Give a Parquet or CSV file with columns text and label, or a folder of "
            "them.",
        ) from None


def labelled_rows(settings: Settings) -> pl.DataFrame:
    """Return columns text, label, held_out: the configured ones, or those of our own making.

    Of configured ones a part is held out by its hash, or as column held_out says. Invented ones
    are all learned from: those written by hand, which share no pattern with them, are held out.

    Raises
    ------
    DataQualityError
        If they can't be read or learned from.
    """
    from agents.sentiment.training import checked  # noqa: PLC0415 - imports torch

    path = settings.training.labelled_headlines
    if path is not None:
        return checked(read_labelled(path))
    parts = {False: invented_headlines(settings.seed), True: written_headlines()}
    return checked(pl.concat(part.with_columns(held_out=out) for out, part in parts.items()))


@dg.asset(
    group_name=_GROUP,
    owners=_OWNERS,
    kinds={"parquet", "polars"},
    tags={"stage": "sentiment"},
    io_manager_key="files",
    code_version=code_version(
        "assets.invented_headlines", "assets.written_headlines", "agents.sentiment.training"
    ),
)
def labelled_headlines(settings: dg.ResourceParam[Settings]) -> dg.MaterializeResult:
    """Headlines with their tone and whether they are held out; invented where none are given."""
    frame = labelled_rows(settings)
    path = settings.training.labelled_headlines
    return dg.MaterializeResult(
        value=frame,
        data_version=dg.DataVersion(content_hash(frame)),
        metadata={
            **frame_metadata(frame),
            "source": "invented and written for this project" if path is None else str(path),
            "labels": dict(frame["label"].value_counts(sort=True).iter_rows()),
            "held out": int(frame["held_out"].sum()),
        },
    )


@dg.asset_check(
    asset=labelled_headlines,
    description="Enough headlines of each tone are held out for a verdict.",
)
def enough_held_out(labelled_headlines: pl.DataFrame) -> dg.AssetCheckResult:
    """Warn where fewer than ten of a tone are measured on."""
    held_out = labelled_headlines.filter("held_out")["label"]
    counts = {
        label: int((held_out == label).sum()) for label in ("negative", "neutral", "positive")
    }
    return dg.AssetCheckResult(
        passed=min(counts.values()) >= 10,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Held out are {', '.join(f'{n} {label}' for label, n in counts.items())}.",
        metadata=counts,
    )


def kind_to_train(settings: Settings) -> ReaderKind:
    """Return the kind that the settings name; else the best that the labels are worth.

    Invented headlines teach n-grams as much as they teach a text model with an encoder.
    """
    from agents.sentiment.pretrained import pretrained_folder  # noqa: PLC0415 - imports torch

    if settings.training.headline_model is not None:
        return settings.training.headline_model
    given = settings.training.labelled_headlines is not None
    return ReaderKind.FROZEN if given and pretrained_folder() is not None else ReaderKind.FAST


@dg.asset(
    group_name=_GROUP,
    owners=_OWNERS,
    kinds={"torch", "mlflow"},
    tags={"stage": "sentiment"},
    io_manager_key="files",
    code_version=_CODE_VERSION,
)
def headline_model(
    labelled_headlines: pl.DataFrame,
    settings: dg.ResourceParam[Settings],
    mlflow: dg.ResourceParam[Any],
) -> dg.MaterializeResult:
    """Train a text model on them, with macro F1 and calibration on those held out."""
    from agents.sentiment.store import save_reader  # noqa: PLC0415 - imports torch
    from agents.sentiment.training import train_reader  # noqa: PLC0415

    kind, data_version = kind_to_train(settings), content_hash(labelled_headlines)
    recipe: Mapping[str, object] = {
        "kind": kind.value,
        "seed": settings.seed,
        "data_version": data_version,
        "code_version": _CODE_VERSION,
    }
    with trial(mlflow, TRIALS, kind.value, recipe) as run:
        trained = train_reader(labelled_headlines, kind, seed=settings.seed)
        work = settings.home / "training" / TRIALS / ".unfinished"
        manifest = save_reader(work, trained, seed=settings.seed)
        folder = work.with_name(manifest.version)
        if not folder.is_dir():
            work.rename(folder)
        run.measured(trained.metrics)
        run.keep(recipe, folder)
    return dg.MaterializeResult(
        value=HeadlineModelFolder(
            folder=str(folder),
            kind=kind.value,
            version=manifest.version,
            run_id=run.run_id,
            metrics=trained.metrics,
            data_version=data_version,
            code_version=_CODE_VERSION,
        ),
        data_version=dg.DataVersion(manifest.version),
        metadata={
            **trained.metrics,
            "mlflow_run": run.run_id,
            "trials so far": len(trials_of(mlflow, TRIALS)),
        },
    )


@dg.asset(
    group_name=_GROUP,
    owners=_OWNERS,
    kinds={"python"},
    tags={"stage": "sentiment"},
    io_manager_key="files",
    code_version=code_version("agents.sentiment", "evaluation.gate"),
)
def headline_gate(
    labelled_headlines: pl.DataFrame,
    headline_model: HeadlineModelFolder,
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Judge the trained model against who reads headlines now, on those held out."""
    from agents.sentiment.store import load_reader, present_reader  # noqa: PLC0415 - imports torch

    candidate = load_reader(Path(headline_model.folder))
    verdict = contest(candidate, present_reader(settings), labelled_headlines.filter("held_out"))
    return dg.MaterializeResult(value=verdict, metadata=validation_metadata(verdict))


def contest(candidate: "Reader", present: "Reader", held_out: pl.DataFrame) -> GateReport:
    """Judge one reader against another on the same labelled headlines, text by text.

    Skill is the Brier score that the present one has more than the candidate. Nothing is timed:
    how busy the machine is must not decide who reads.
    """
    from agents.sentiment.training import LABELS, macro_f1  # noqa: PLC0415 - imports torch

    texts = held_out["text"].to_list()
    tones = np.array([LABELS[label] for label in held_out["label"]], dtype=np.int64)
    new, old = (reader.probabilities(texts) for reader in (candidate, present))
    losses = [((found - np.eye(len(LABELS))[tones]) ** 2).sum(axis=1) for found in (new, old)]
    scores = [macro_f1(found.argmax(axis=1), tones) for found in (new, old)]
    better = Check(
        name="macro F1",
        value=round(scores[0], 6),
        threshold=f"> {scores[1]:.4f}",
        outcome=CheckOutcome.PASS if scores[0] > scores[1] else CheckOutcome.FAIL,
        sentence=f"Macro F1 is {scores[0]:.3f}, that of the present one {scores[1]:.3f}.",
    )
    checks = [
        skill_check(losses[1] - losses[0], metric="Brier score"),
        better,
        finite_check(new.ravel()),
    ]
    return judge(AgentId.MARKET_ANALYST, candidate.name, present.name, checks)


@dg.asset_check(
    asset=headline_gate,
    name="gate",
    description="The trained model reads headlines better; if not, the present one stays.",
)
def headline_gate_passed(headline_gate: GateReport) -> dg.AssetCheckResult:
    """Warn where the candidate is refused."""
    return dg.AssetCheckResult(
        passed=headline_gate.accepted,
        severity=dg.AssetCheckSeverity.WARN,
        description=headline_gate.reason,
        metadata=validation_metadata(headline_gate),
    )


@dg.asset(
    group_name=_GROUP,
    owners=["team:platform"],
    kinds={"python"},
    tags={"stage": "sentiment"},
    io_manager_key="files",
    code_version=code_version("agents.sentiment.store"),
)
def headline_reader(
    headline_model: HeadlineModelFolder,
    headline_gate: GateReport,
    settings: dg.ResourceParam[Settings],
) -> dg.MaterializeResult:
    """Who reads headlines for the Market Analyst from its next start on."""
    from agents.sentiment.store import adopt, present_reader  # noqa: PLC0415 - imports torch

    if headline_gate.accepted:
        adopt(Path(headline_model.folder), settings)
    served = HeadlineReaderServed(
        reader=present_reader(settings).name,
        candidate=headline_gate.candidate,
        accepted=headline_gate.accepted,
        reason=headline_gate.reason,
        run_id=headline_model.run_id,
    )
    return dg.MaterializeResult(
        value=served,
        data_version=dg.DataVersion(served.reader),
        metadata={"reader": served.reader, "reason": served.reason},
    )
