"""Talking to InfluxDB 2 by `influxdb-client`: what may be tried again is, the rest is typed."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import structlog
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_base, wait_random_exponential
from urllib3.exceptions import HTTPError

from domain.errors import ConfigurationError, DataQualityError, EnvironmentProblem
from domain.settings import TimeSeriesSettings

_BATCH = 5_000
_MILLISECONDS = 60_000
#: Too many requests; the server, or a proxy before it, is away or restarting.
_TRY_AGAIN = frozenset((429, 500, 502, 503, 504))
_UNAUTHORISED = frozenset((401, 403))
_log = structlog.get_logger(__name__)
_Found = TypeVar("_Found")


class InfluxAccess:
    """Writes, queries and deletes of one bucket.

    The library's own batching drops a batch when its retries are used up, so writes are
    synchronous and tried again here: a call returns when every line is written, or raises.

    Parameters
    ----------
    wait
        Pause between two attempts, where the server names none (Retry-After).
    """

    def __init__(
        self,
        settings: TimeSeriesSettings,
        *,
        attempts: int = 6,
        wait: wait_base | None = None,
    ) -> None:
        self.bucket = settings.influxdb_bucket
        self.organization = settings.influxdb_organization
        self._attempts = attempts
        self._wait = wait or wait_random_exponential(multiplier=0.5, max=30)
        self.client = InfluxDBClient(
            url=settings.influxdb_url,
            token=settings.influxdb_token.get_secret_value(),
            org=settings.influxdb_organization,
            timeout=_MILLISECONDS,
        )

    def write(self, lines: Sequence[str]) -> None:
        """Write lines of line protocol (nanoseconds), in batches.

        A point written twice is one point, so what failed may simply be written again.

        Raises
        ------
        DataQualityError
            If the server refuses a point.
        EnvironmentProblem
            If it can't be reached, or is too busy for too long.
        """
        api = self.client.write_api(write_options=SYNCHRONOUS)
        for begin in range(0, len(lines), _BATCH):
            batch = "\n".join(lines[begin : begin + _BATCH])

            def send(batch: str = batch) -> None:
                api.write(self.bucket, self.organization, batch)

            self._attempt(send, f"{begin} of {len(lines)} points are written")

    def query(self, flux: str) -> str:
        """Return the answer to a Flux query, as annotated CSV."""
        api = self.client.query_api()
        found: Any = self._attempt(lambda: api.query_raw(flux), "nothing was to be changed")
        return found.data.decode() if hasattr(found, "data") else str(found)

    def delete(self, start: str, stop: str, predicate: str) -> None:
        """Delete the points of an interval (RFC 3339) that a predicate names."""
        api = self.client.delete_api()
        self._attempt(
            lambda: api.delete(start, stop, predicate, self.bucket, self.organization),
            "points that are gone from the source may be left",
        )

    def close(self) -> None:
        """End the connections."""
        self.client.close()

    def _attempt(self, call: Callable[[], _Found], so_far: str) -> _Found:
        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_attempt(self._attempts),
            wait=self._pause,
            before_sleep=_tell,
            reraise=True,
        )
        try:
            return retrying(call)
        except ApiException as problem:
            raise _typed(problem, so_far) from problem
        except (HTTPError, OSError) as problem:
            raise EnvironmentProblem(
                f"InfluxDB can't be reached ({type(problem).__name__}) after "
                f"{self._attempts} attempts.",
                kept=f"{so_far.capitalize()}; writing them again does no harm.",
                next_step="Start it, or mend QUORUM_TIME_SERIES__INFLUXDB_URL.",
            ) from problem

    def _pause(self, state: RetryCallState) -> float:
        problem = state.outcome.exception() if state.outcome else None
        named = getattr(problem, "headers", None) or {}
        asked = {str(name).lower(): value for name, value in named.items()}.get("retry-after", "")
        return float(asked) if asked.isdigit() else self._wait(state)


def _may_pass(problem: BaseException) -> bool:
    if isinstance(problem, ApiException):
        return problem.status in _TRY_AGAIN
    return isinstance(problem, (HTTPError, OSError))


def _tell(state: RetryCallState) -> None:
    problem = state.outcome.exception() if state.outcome else None
    _log.warning("influxdb_again", attempt=state.attempt_number, problem=type(problem).__name__)


def _typed(problem: ApiException, so_far: str) -> Exception:
    body = problem.body.decode(errors="replace") if isinstance(problem.body, bytes) else ""
    told = " ".join((body or str(problem.reason)).split())[:400]
    kept = f"{so_far.capitalize()}."
    if problem.status in _TRY_AGAIN:
        return EnvironmentProblem(
            f"InfluxDB is too busy, or restarting ({problem.status}): {told}.",
            kept=kept,
            next_step="Try again later; points written twice are one point.",
        )
    if problem.status in _UNAUTHORISED or problem.status == 404:
        return ConfigurationError(
            f"InfluxDB refuses this token, organization or bucket ({problem.status}): {told}.",
            kept=kept,
            next_step="Mend QUORUM_TIME_SERIES__INFLUXDB_TOKEN, …_ORGANIZATION or …_BUCKET; "
            "`quorum data prepare` makes the buckets.",
        )
    return DataQualityError(
        f"InfluxDB refuses points ({problem.status}): {told}.",
        kept=kept,
        next_step="Mend the rows, or the bucket's retention, and write again.",
    )
