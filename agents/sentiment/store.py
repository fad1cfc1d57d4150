"""Headline models on disk: safetensors and a manifest with their hashes; nothing is unpickled."""

import hashlib
import json
import shutil
from pathlib import Path

import msgspec
import structlog
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from agents.sentiment.ngrams import NgramModel
from agents.sentiment.pretrained import load_encoder, load_tokenizer
from agents.sentiment.reading import LEXICON, FastReader, Reader
from agents.sentiment.text_model import TextModel
from agents.sentiment.training import TrainedReader
from domain.errors import EnvironmentProblem, ModelRefused
from domain.metrics import Metric
from domain.ports.metrics import Metrics
from domain.settings import HeadlineReader, ReaderKind, Settings

_MANIFEST, _NGRAMS, _TEXT_MODEL = "sentiment.json", "ngrams.safetensors", "text_model.safetensors"
_log = structlog.get_logger()


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was trained, its quality on headlines held out, and the SHA-256 of its files."""

    kind: ReaderKind
    files: dict[str, str]
    metrics: dict[str, float]
    seed: int
    format_version: int = 1

    @property
    def version(self) -> str:
        """First digits of a hash over all files."""
        joined = "".join(digest for _, digest in sorted(self.files.items()))
        return hashlib.sha256(joined.encode()).hexdigest()[:8]


def save_reader(folder: Path, trained: TrainedReader, *, seed: int) -> Manifest:
    """Write a reader's files; the manifest last, so that an unfinished save is refused."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MANIFEST).unlink(missing_ok=True)
    ngrams = trained.ngrams
    contents = {
        _NGRAMS: save_tensors(
            {"scale": ngrams.scale, "weights": ngrams.weights, "bias": ngrams.bias}
        )
    }
    if trained.text_model is not None:
        whole = trained.kind is ReaderKind.TUNED
        part = trained.text_model if whole else trained.text_model.head
        contents[_TEXT_MODEL] = save_tensors(
            {name: tensor.contiguous() for name, tensor in sorted(part.state_dict().items())}
        )
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    manifest = Manifest(
        kind=trained.kind,
        files={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        metrics=trained.metrics,
        seed=seed,
    )
    plain = json.loads(msgspec.json.encode(manifest))
    unfinished = folder / f"{_MANIFEST}.partial"
    unfinished.write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n")
    unfinished.replace(folder / _MANIFEST)
    return manifest


def load_reader(folder: Path, *, fast: bool = False) -> Reader:
    """Return the reader that was saved; with `fast`, its n-grams alone.

    Raises
    ------
    ModelRefused
        If a file is missing, altered or of a wrong shape.
    EnvironmentProblem
        If it needs the pretrained encoder and that is not installed.
    """
    try:
        manifest = msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
        contents = {name: (folder / name).read_bytes() for name in sorted(manifest.files)}
    except (OSError, msgspec.DecodeError) as problem:
        raise _refused(folder, str(problem)) from None
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != manifest.files[name]:
            raise _refused(folder, f"{name} differs from its manifest")
    try:
        ngrams = NgramModel(**load_tensors(contents[_NGRAMS]))
        if fast or manifest.kind is ReaderKind.FAST:
            return FastReader(ngrams, manifest.version)
        model = _text_model(load_tensors(contents[_TEXT_MODEL]), manifest.kind)
    except (SafetensorError, KeyError, TypeError, RuntimeError) as problem:
        raise _refused(folder, str(problem)) from None
    return TrainedReader(manifest.kind, ngrams, model, manifest.metrics).reader(manifest.version)


def reader_folder(settings: Settings) -> Path:
    """Return where the headline models of this machine lie."""
    return settings.home / "sentiment"


def adopt(trained: Path, settings: Settings) -> None:
    """Have agents take up from their next start on what was saved in another folder."""
    folder = reader_folder(settings)
    manifest = (trained / _MANIFEST).read_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MANIFEST).unlink(missing_ok=True)  # half of another reader's files is refused
    for name in sorted(msgspec.json.decode(manifest, type=Manifest).files):
        shutil.copyfile(trained / name, folder / name)
    unfinished = folder / f"{_MANIFEST}.partial"
    unfinished.write_bytes(manifest)
    unfinished.replace(folder / _MANIFEST)


def present_reader(settings: Settings) -> Reader:
    """Return the best reader that was adopted; the lexicon before any, or where it is refused."""
    if not (reader_folder(settings) / _MANIFEST).exists():
        return LEXICON
    try:
        return load_reader(reader_folder(settings))
    except (ModelRefused, EnvironmentProblem) as problem:
        _log.info("headlines are read by the lexicon", problem=str(problem))
        return LEXICON


def open_reader(settings: Settings, metrics: Metrics) -> Reader:
    """Return the best reader wanted that is there: text model, n-grams, lexicon.

    Falling back is logged and counted, with its reason.
    """
    folder, wanted = reader_folder(settings), settings.serving.headline_reader
    if wanted is HeadlineReader.LEXICON:
        return LEXICON
    if not (folder / _MANIFEST).exists():
        return _fallen_back(LEXICON, metrics, "untrained")
    if wanted is HeadlineReader.BEST:
        try:
            return load_reader(folder)
        except EnvironmentProblem as problem:
            _log.warning("the text model can't be used", problem=str(problem))
            metrics.count(Metric.SENTIMENT_FALLBACKS, reader="n-grams", reason="no encoder")
        except ModelRefused as problem:
            _log.warning("the headline models are refused", problem=str(problem))
            return _fallen_back(LEXICON, metrics, "refused")
    try:
        return load_reader(folder, fast=True)
    except ModelRefused as problem:
        _log.warning("the headline models are refused", problem=str(problem))
        return _fallen_back(LEXICON, metrics, "refused")


def _fallen_back(reader: Reader, metrics: Metrics, reason: str) -> Reader:
    _log.info("headlines are read by a fallback", reader=reader.name, reason=reason)
    metrics.count(Metric.SENTIMENT_FALLBACKS, reader=reader.name, reason=reason)
    return reader


def _text_model(tensors: dict[str, Tensor], kind: ReaderKind) -> TextModel:
    model = TextModel(load_tokenizer(), load_encoder())
    (model if kind is ReaderKind.TUNED else model.head).load_state_dict(tensors)
    return model.eval().requires_grad_(requires_grad=False)


def _refused(folder: Path, why: str) -> ModelRefused:
    return ModelRefused(
        f"The headline models in {folder} are refused: {why}.",
        kept="Headlines are read by the lexicon.",
        next_step="Train them again: quorum train-sentiment.",
    )
