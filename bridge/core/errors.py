"""Everything that can go wrong, as one tree.

    BridgeError
    ├── SettingsInvalid             wrong or missing settings, all of them at once
    ├── StoreUnavailable            the turn cannot be kept: the door answers 503
    │   └── StoreInUse              another process has the file
    ├── TurnFailure                 the run did not give an answer; the user sees a sentence
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
    └── DeliveryFailure             Teams did not take a message
        ├── DeliveryDelayed         nothing was shown: sending again is safe
        │   ├── Throttled
        │   ├── ConnectorUnreachable
        │   └── CredentialsRefused
        ├── DeliveryUnknown         it may have been shown
        ├── DeliveryRejected        this form of the message is not accepted
        ├── LeftOut                 not sent: the budgets had no room for what may be left out
        ├── StreamEnded             Teams takes nothing more of a stream
        │   ├── StreamStopped       by the user
        │   └── StreamRefused       there are none in this chat
        └── DeliveryRefused         refused for good

Every leaf fixes three things: may it be tried again (`retryable`), the metric label (`label`) and, for a
`TurnFailure`, the sentence a user sees: `texts` has one under the same label. Provider words never travel in
an error's user-visible part; `detail` is for operators and holds statuses and reasons, never message text.
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """Root of all errors the bridge raises on purpose."""

    retryable: ClassVar[bool] = False
    label: ClassVar[str] = ""

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.label)
        self.detail = detail


class SettingsInvalid(BridgeError):
    """Settings that do not work; `problems` holds one sentence for each, with what to do."""

    label = "settings_invalid"

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StoreUnavailable(BridgeError):
    """The turn cannot be written now (disk full, file gone, too many waiting)."""

    retryable = True
    label = "store_unavailable"


class StoreInUse(StoreUnavailable):
    """Another process holds the store's file."""

    retryable = False
    label = "store_in_use"


class TurnFailure(BridgeError):
    """The run ended without an answer; closes the turn as failed, with a sentence for the user."""


class RunNotStarted(TurnFailure):
    """The gateway provably did not begin the run."""

    retryable = True


class GatewayDown(RunNotStarted):
    """No connection to the gateway."""

    label = "gateway_down"


class GatewayBusy(RunNotStarted):
    """The gateway's rate limit (one token for all users) refused the request."""

    label = "gateway_busy"


class GatewayTokenRejected(TurnFailure):
    """401: the gateway does not know our token."""

    label = "gateway_token_rejected"


class GatewayForbidden(TurnFailure):
    """403: the token may not chat."""

    label = "gateway_forbidden"


class GatewayMergesUsers(TurnFailure):
    """The gateway would answer all users in one session; nothing is asked (guarantee 7)."""

    label = "gateway_merges_users"


class AgentUnknown(TurnFailure):
    """404: the gateway has no such agent."""

    label = "agent_unknown"


class QuestionTooLong(TurnFailure):
    """The gateway would cut the text silently, so it is not sent."""

    label = "question_too_long"


class QuestionRejected(TurnFailure):
    """400: the gateway does not take the request."""

    label = "question_rejected"


class ProviderFailed(TurnFailure):
    """500: the model's provider failed after the gateway's own tries."""

    label = "provider_failed"


class GatewayUnavailable(TurnFailure):
    """502, 503, 504 from something between us and the gateway: the run may have begun."""

    label = "gateway_unavailable"


class RunTimedOut(TurnFailure):
    """No answer within the time for a whole turn."""

    label = "run_timed_out"


class RunLost(TurnFailure):
    """The connection died while the agent worked."""

    label = "run_lost"


class AnswerUnreadable(TurnFailure):
    """A reply that is not what the gateway's contract says."""

    label = "answer_unreadable"


class AnswerEmpty(TurnFailure):
    """The model said nothing (the gateway shows that as `...`)."""

    label = "answer_empty"


class SessionNotDeleted(TurnFailure):
    """`/new` could not delete the session, or could not see that it is gone."""

    label = "session_not_deleted"


class GuestDenied(TurnFailure):
    """Guests are not allowed here, and the roster says that the asker is one."""

    label = "denied_guest"


class MembershipUnknown(TurnFailure):
    """The roster did not say whether the asker is a guest; nothing is asked."""

    label = "membership_unknown"


class Interrupted(TurnFailure):
    """The bridge stopped while the agent worked; nobody knows whether the run ended."""

    label = "interrupted"


class InternalError(TurnFailure):
    """A fault of the bridge itself."""

    label = "internal_error"


class DeliveryFailure(BridgeError):
    """The Bot Connector did not take a message."""


class DeliveryDelayed(DeliveryFailure):
    """Nothing was shown; the same send may be repeated without risk."""

    retryable = True


class Throttled(DeliveryDelayed):
    """429 or 412; `retry_after` in seconds, None where Teams names no time."""

    label = "throttled"

    def __init__(self, detail: str = "", retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ConnectorUnreachable(DeliveryDelayed):
    """No connection to the Bot Connector."""

    label = "connector_unreachable"


class CredentialsRefused(DeliveryDelayed):
    """No outbound token, or the connector refused it (401): an expired secret, a failing Entra ID."""

    label = "credentials_refused"


class DeliveryUnknown(DeliveryFailure):
    """Time-out, closed connection or 5xx after the request left: it may have been shown."""

    retryable = True
    label = "delivery_unknown"


class DeliveryRejected(DeliveryFailure):
    """400, 413 and the like: this message in this form is not accepted."""

    label = "delivery_rejected"


class LeftOut(DeliveryFailure):
    """Not sent: it may be left out, and the budgets had no room for it."""

    label = "left_out"


class StreamEnded(DeliveryFailure):
    """Teams takes nothing more of this stream; its message stays, and may be edited."""

    label = "stream_ended"


class StreamStopped(StreamEnded):
    """The user has pressed Stop. Nothing of what is shown can be changed any more."""

    label = "stream_stopped"


class StreamRefused(StreamEnded):
    """There are no streams in this chat."""

    label = "stream_refused"


class DeliveryRefused(DeliveryFailure):
    """404, not in roster, blocked by user or admin: no message will ever be accepted here."""

    label = "delivery_refused"
