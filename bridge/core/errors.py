"""All errors of the bridge, as one tree.

    BridgeError
    ├── SettingsInvalid             wrong or missing settings, all at once
    ├── StoreUnavailable            the turn cannot be kept: Teams gets 503 and sends again
    │   └── StoreInUse              a second process has the file
    ├── TurnFailure                 the run gave no answer; the user sees a sentence
    │   ├── RunNotStarted           the gateway provably did not begin: asking again is safe
    │   │   ├── GatewayDown
    │   │   └── GatewayBusy
    │   ├── GatewayTokenRejected
    │   ├── GatewayForbidden
    │   ├── GatewayMergesUsers
    │   ├── AgentUnknown
    │   ├── QuestionTooLong
    │   ├── QuestionRejected
    │   ├── ProviderFailed
    │   ├── GatewayUnavailable
    │   ├── RunTimedOut
    │   ├── RunLost
    │   ├── AnswerUnreadable
    │   ├── AnswerEmpty
    │   ├── SessionNotDeleted
    │   ├── GuestDenied
    │   ├── MembershipUnknown
    │   ├── Interrupted
    │   └── InternalError
    ├── DeliveryFailure             Teams did not take a message
    │   ├── DeliveryDelayed         not shown: sending again is safe
    │   │   ├── Throttled
    │   │   ├── ConnectorUnreachable
    │   │   ├── CredentialsRefused
    │   │   └── ConnectorForbids
    │   ├── DeliveryUnknown         perhaps shown
    │   ├── DeliveryRejected        the message in its present form is not accepted
    │   ├── LeftOut                 progress skipped: the budgets had no room
    │   ├── StreamEnded             Teams accepts no more requests of a stream
    │   │   ├── StreamStopped       by the user
    │   │   └── StreamRefused       the chat has no streams
    │   └── DeliveryRefused         refused for good
    └── FileFailure                 a file could not be fetched or saved; the turn goes on without the file
        ├── FileExpired
        ├── FileTooLarge
        ├── FileRefused
        └── FileUnreachable

Every leaf says whether a repeat is allowed (`retryable`) and the metric label (`label`). For a `TurnFailure` the label
is also the text key of the user's sentence, and `again` says whether *Ask again* stands below the sentence.
Provider words never reach users; `detail` is for operators and holds statuses and reasons, never message text.
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """Root of all errors the bridge raises on purpose; `detail` is for operators."""

    retryable: ClassVar[bool] = False
    label: ClassVar[str] = ""

    def __init_subclass__(cls, *, label: str = "") -> None:
        if label:
            cls.label = label

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.label)
        self.detail = detail


class SettingsInvalid(BridgeError):
    """Wrong or missing settings; `problems`: a sentence for each, with the remedy."""

    label = "settings_invalid"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreUnavailable(BridgeError):
    """The store cannot be used now: disk full, file gone, server unreachable, too many writes waiting."""

    retryable = True
    label = "store_unavailable"


class StoreInUse(StoreUnavailable):
    """A second process holds the store's file."""

    retryable = False
    label = "store_in_use"


class TurnFailure(BridgeError):
    """The run ended without an answer; closes the turn as failed, with a sentence for the user.

    `again`: asking the same question again may help, without a repair first.
    """

    again: ClassVar[bool] = False


class RunNotStarted(TurnFailure):
    """The gateway provably did not begin the run."""

    retryable = True


class GatewayDown(RunNotStarted):
    """No connection to the gateway."""

    again = True
    label = "gateway_down"


class GatewayBusy(RunNotStarted):
    """429: the rate limit, shared by all users of the token, refused the request. Or admission took too long."""

    again = True
    label = "gateway_busy"


class GatewayTokenRejected(TurnFailure, label="gateway_token_rejected"):
    """401: the gateway does not know the bridge's token."""


class GatewayForbidden(TurnFailure, label="gateway_forbidden"):
    """403: the token may not chat."""


class GatewayMergesUsers(TurnFailure, label="gateway_merges_users"):
    """The gateway would answer all users in the same session, so the agent is not asked.

    docs/architecture.md, "Guarantees", number 7.
    """


class AgentUnknown(TurnFailure, label="agent_unknown"):
    """404: the gateway has no such agent."""


class QuestionTooLong(TurnFailure, label="question_too_long"):
    """The gateway would cut the text silently, so the question is not sent."""


class QuestionRejected(TurnFailure):
    """400: the gateway refuses the request."""

    again = True
    label = "question_rejected"


class ProviderFailed(TurnFailure):
    """500: the model's provider failed, the gateway's own repeats included."""

    again = True
    label = "provider_failed"


class GatewayUnavailable(TurnFailure):
    """502, 503, 504 from a proxy before the gateway: the run may have begun."""

    again = True
    label = "gateway_unavailable"


class RunTimedOut(TurnFailure):
    """No answer within the time for a whole turn."""

    again = True
    label = "run_timed_out"


class RunLost(TurnFailure):
    """The connection died while the agent worked."""

    again = True
    label = "run_lost"


class AnswerUnreadable(TurnFailure):
    """A reply outside the gateway's protocol (docs/reference/goclaw.md, "Reply")."""

    again = True
    label = "answer_unreadable"


class AnswerEmpty(TurnFailure):
    """The model gave no text (the gateway replies `...`)."""

    again = True
    label = "answer_empty"


class SessionNotDeleted(TurnFailure, label="session_not_deleted"):
    """`/new` could not delete the session, or could not verify the deletion."""


class GuestDenied(TurnFailure, label="denied_guest"):
    """The roster names the asker as a guest, and guests are not allowed here."""


class MembershipUnknown(TurnFailure):
    """The roster did not tell whether the asker is a guest; the agent is not asked."""

    again = True
    label = "membership_unknown"


class Interrupted(TurnFailure, label="interrupted"):
    """The bridge stopped while the agent worked; the end of the run is unknown."""


class InternalError(TurnFailure):
    """A fault of the bridge itself."""

    again = True
    label = "internal_error"


class DeliveryFailure(BridgeError):
    """The connector did not accept a message."""


class DeliveryDelayed(DeliveryFailure):
    """The message was not shown; sending again is safe."""

    retryable = True


class Throttled(DeliveryDelayed):
    """429 or 412; `retry_after` in seconds, None where Teams names no time.

    docs/reference/teams.md, "What each status means".
    """

    label = "throttled"

    def __init__(self, detail: str = "", retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ConnectorUnreachable(DeliveryDelayed, label="connector_unreachable"):
    """No connection to the connector."""


class CredentialsRefused(DeliveryDelayed, label="credentials_refused"):
    """No outbound token, or the connector refused the token (401): an expired secret, a failing Entra ID."""


class ConnectorForbids(DeliveryDelayed, label="connector_forbids"):
    """403 with an empty body: nothing is said about the message or the conversation, so the bot itself is refused."""


class DeliveryUnknown(DeliveryFailure):
    """Time-out, closed connection or 5xx after the request left: the message may have been shown."""

    retryable = True
    label = "delivery_unknown"


class DeliveryRejected(DeliveryFailure, label="delivery_rejected"):
    """The message in its present form is not accepted. `too_large`: for its size; `content`: for what is in it."""

    def __init__(self, detail: str = "", *, too_large: bool = False, content: bool = False) -> None:
        super().__init__(detail)
        self.too_large = too_large
        self.content = content


class LeftOut(DeliveryFailure, label="left_out"):
    """Progress or a reaction was skipped: the budgets had no room."""


class StreamEnded(DeliveryFailure, label="stream_ended"):
    """Teams accepts no more requests of the stream; the stream's message stays and may be edited."""


class StreamStopped(StreamEnded, label="stream_stopped"):
    """The user has pressed Stop; the stream's message cannot be changed any more."""


class StreamRefused(StreamEnded, label="stream_refused"):
    """The chat has no streams."""


class DeliveryRefused(DeliveryFailure, label="delivery_refused"):
    """404, not in roster, blocked by user or admin: the conversation accepts no message any more."""


class FileFailure(BridgeError):
    """A file could not be fetched or saved; the label is the text key of the sentence for people."""


class FileExpired(FileFailure, label="file_expired"):
    """The file's link has expired or leads to no file."""


class FileTooLarge(FileFailure, label="file_too_large"):
    """The file has more bytes than the limit."""


class FileRefused(FileFailure, label="file_refused"):
    """The file's address is not on an allowed host; no request was sent."""


class FileUnreachable(FileFailure, label="file_unreachable"):
    """Time-out, broken connection, or an answer that is neither the file nor a clear refusal."""
