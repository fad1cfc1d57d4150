"""A registry that can't be asked says so in our words, whatever its client raised."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from mlflow.exceptions import MlflowException

from domain.errors import RegistryUnavailable

P = ParamSpec("P")
R = TypeVar("R")


def asked(question: Callable[P, R]) -> Callable[P, R]:
    """Raise `RegistryUnavailable` where the server, its database or its disk fails."""

    @wraps(question)
    def answered(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return question(*args, **kwargs)
        except (MlflowException, OSError) as problem:
            found = (str(problem) or type(problem).__name__).splitlines()[0]
            raise RegistryUnavailable(
                f"The model registry can't be asked to {question.__name__}: {found[:200]}",
                kept="What is served is served on; half of a registration is no version.",
                next_step="See that MLflow runs and has room, then repeat it: that is safe.",
            ) from problem

    return answered
