"""Errors that tell what happened, what was kept safe, and what to do next."""

from domain.refusals import Refusal


class QuorumError(Exception):
    """Base of every error that Quorum raises on purpose.

    Parameters
    ----------
    what
        What happened, in one sentence.
    kept
        What was kept safe in spite of it.
    next_step
        What the reader can do now.
    """

    exit_code = 1

    def __init__(self, what: str, *, kept: str = "Nothing was changed.", next_step: str) -> None:
        super().__init__(what)
        self.what = what
        self.kept = kept
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.what} {self.kept} {self.next_step}"

    def __reduce__(
        self,
    ) -> tuple[object, tuple[type["QuorumError"], str, str, str], dict[str, object]]:
        return _rebuild, (type(self), self.what, self.kept, self.next_step), self.__dict__


def _rebuild(kind: type[QuorumError], what: str, kept: str, next_step: str) -> QuorumError:
    return kind(what, kept=kept, next_step=next_step)


class ConfigurationError(QuorumError):
    """A setting is unknown, of the wrong type, or can't be honoured on this machine."""

    exit_code = 2


class LiveTradingRefused(ConfigurationError):
    """Real money may not be traded: nobody turned the switch on, or no paper run passed."""


class InvalidValue(QuorumError, ValueError):
    """A value is outside what its type allows (not finite, out of range, not aware)."""

    exit_code = 2


class NotOnRecord(InvalidValue):
    """An id that names nothing on record."""


class NotAuthenticated(QuorumError):
    """Who asks is not known here."""

    exit_code = 9


class NotPermitted(QuorumError):
    """Who asks is known, and may not do this."""

    exit_code = 9


class Conflict(QuorumError):
    """Another was first, or holds what this one wants."""


class IllegalMove(Conflict):
    """A model version can't go where it was told to go, from where it stands."""


class MessageRefused(QuorumError):
    """Bytes that are not a valid message: malformed, unknown, or out of range.

    Parameters
    ----------
    reason
        Which of the typed reasons; it is what is counted.
    """

    def __init__(
        self,
        what: str,
        *,
        reason: Refusal = Refusal.MALFORMED,
        kept: str = "Nothing was changed.",
        next_step: str,
    ) -> None:
        super().__init__(what, kept=kept, next_step=next_step)
        self.reason = reason


class UnknownSchemaVersion(MessageRefused):
    """A message of a schema version that this release neither speaks nor upcasts."""


class DataQualityError(QuorumError):
    """Data failed a blocking check; the offending rows are quarantined."""

    exit_code = 3


class EnvironmentProblem(QuorumError):
    """The machine lacks something: a binary, disk space, a writable folder, a free port."""

    exit_code = 4


class RecordUnavailable(QuorumError):
    """The ledger can't be written; trading halts until it can."""

    exit_code = 5


class RegistryUnavailable(QuorumError):
    """The model registry can't be read or written; what is served goes on being served."""

    exit_code = 4


class VenueUnavailable(QuorumError):
    """A venue did not answer in time; what it did with the question is not known."""

    exit_code = 4


class FeedUnavailable(QuorumError):
    """A source of bars or headlines can't be reached, or answers what can't be read."""

    exit_code = 4


class MessagesLost(QuorumError):
    """The bus no longer holds messages that were published; the record does."""

    exit_code = 4


class RecordFull(RecordUnavailable):
    """The ledger's disk has no room; trading halts until it has."""


class RecordReadOnly(RecordUnavailable):
    """The ledger takes no writes (a standby, or set so); trading halts until it does."""


class RecordDamaged(QuorumError):
    """The record, an export, a backup or a proof does not pass its check."""

    exit_code = 7


class ModelRefused(QuorumError):
    """Model artefacts are incomplete, altered, of another agent, or of a wrong shape."""

    exit_code = 6


class SequenceConflict(QuorumError):
    """A commit expected another last sequence than the log has: a second writer, or a fault."""

    exit_code = 5


class AlreadyRecorded(SequenceConflict):
    """A commit holds an event whose id is on record: another partition's, or another release's."""


class RecordIncomplete(QuorumError):
    """The record lacks inputs that the present state follows from."""

    exit_code = 5


class Fenced(QuorumError):
    """Another process holds the partition by now; this one must stop writing."""

    exit_code = 8
