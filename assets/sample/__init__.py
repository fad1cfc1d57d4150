"""The packaged sample of real bars; its README says where they come from."""

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

#: Models learn from the sample's bars before this instant; the demo replays those after it.
TRAINING_CUTOFF = datetime(2012, 9, 1, tzinfo=UTC)


def sample_folder() -> Path:
    """Return the folder of the packaged bars."""
    return Path(str(files(__name__)))
