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
    ├── DeliveryFailure             Teams did not take a message
    │   ├── DeliveryDelayed         nothing was shown: sending again is safe
    │   │   ├── Throttled
    │   │   ├── ConnectorUnreachable
    │   │   └── CredentialsRefused
    │   ├── DeliveryUnknown         it may have been shown
    │   ├── DeliveryRejected        this form of the message is not accepted
    │   ├── LeftOut                 not sent: the budgets had no room for what may be left out
    │   ├── StreamEnded             Teams takes nothing more of a stream
    │   │   ├── StreamStopped       by the user
    │   │   └── StreamRefused       there are none in this chat
    │   └── DeliveryRefused         refused for good
    └── FileFailure                 a file could not be fetched or saved; the turn goes on without it
        ├── FileExpired
        ├── FileTooLarge
        ├── FileRefused
        └── FileUnreachable

Every leaf fixes three things: may it be tried again (`retryable`), the metric label (`label`) and, for a
`TurnFailure`, the sentence a user sees (`texts` has one under the same label) and whether it comes with *Ask again*.
Provider words never travel in an error's user-visible part; `detail` is for operators and holds statuses and reasons,
never message text.
"""

from __future__ import annotations

from typing import ClassVar


class BridgeError(Exception):
    """Root of all errors the bridge raises on purpose."""

    retryable: ClassVar[bool] = False
    label: ClassVar[str] = ""

    def __init_subclass__(cls, *, label: str = "") -> None:
        if label:
            cls.label = label

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
    """The run ended without an answer; closes the turn as failed, with a sentence for the user.

    `again`: asking the same once more may help, without anybody else doing something first.
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
    """The gateway's rate limit (one token for all users) refused the request."""

    again = True
    label = "gateway_busy"


class GatewayTokenRejected(TurnFailure, label="gateway_token_rejected"):
    """401: the gateway does not know our token."""


class GatewayForbidden(TurnFailure, label="gateway_forbidden"):
    """403: the token may not chat."""


class GatewayMergesUsers(TurnFailure, label="gateway_merges_users"):
    """The gateway would answer all users in one session; nothing is asked (guarantee 7)."""


class AgentUnknown(TurnFailure, label="agent_unknown"):
    """404: the gateway has no such agent."""


class QuestionTooLong(TurnFailure, label="question_too_long"):
    """The gateway would cut the text silently, so it is not sent."""


class QuestionRejected(TurnFailure):
    """400: the gateway does not take the request."""

    again = True
    label = "question_rejected"


class ProviderFailed(TurnFailure):
    """500: the model's provider failed after the gateway's own tries."""

    again = True
    label = "provider_failed"


class GatewayUnavailable(TurnFailure):
    """502, 503, 504 from something between us and the gateway: the run may have begun."""

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
    """A reply that is not what the gateway's contract says."""

    again = True
    label = "answer_unreadable"


class AnswerEmpty(TurnFailure):
    """The model said nothing (the gateway shows that as `...`)."""

    again = True
    label = "answer_empty"


class SessionNotDeleted(TurnFailure, label="session_not_deleted"):
    """`/new` could not delete the session, or could not see that it is gone."""


class GuestDenied(TurnFailure, label="denied_guest"):
    """Guests are not allowed here, and the roster says that the asker is one."""


class MembershipUnknown(TurnFailure):
    """The roster did not say whether the asker is a guest; nothing is asked."""

    again = True
    label = "membership_unknown"


class Interrupted(TurnFailure, label="interrupted"):
    """The bridge stopped while the agent worked; nobody knows whether the run ended."""


class InternalError(TurnFailure):
    """A fault of the bridge itself."""

    again = True
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


class ConnectorUnreachable(DeliveryDelayed, label="connector_unreachable"):
    """No connection to the Bot Connector."""


class CredentialsRefused(DeliveryDelayed, label="credentials_refused"):
    """No outbound token, or the connector refused it (401): an expired secret, a failing Entra ID."""


class DeliveryUnknown(DeliveryFailure):
    """Time-out, closed connection or 5xx after the request left: it may have been shown."""

    retryable = True
    label = "delivery_unknown"


class DeliveryRejected(DeliveryFailure, label="delivery_rejected"):
    """400, 413 and the like: this message in this form is not accepted."""


class LeftOut(DeliveryFailure, label="left_out"):
    """Not sent: it may be left out, and the budgets had no room for it."""


class StreamEnded(DeliveryFailure, label="stream_ended"):
    """Teams takes nothing more of this stream; its message stays, and may be edited."""


class StreamStopped(StreamEnded, label="stream_stopped"):
    """The user has pressed Stop. Nothing of what is shown can be changed any more."""


class StreamRefused(StreamEnded, label="stream_refused"):
    """There are no streams in this chat."""


class DeliveryRefused(DeliveryFailure, label="delivery_refused"):
    """404, not in roster, blocked by user or admin: no message will ever be accepted here."""


class FileFailure(BridgeError):
    """A file could not be fetched or saved; its label is the key of what people are told."""


class FileExpired(FileFailure, label="file_expired"):
    """Its link is no longer good, or there is nothing under it."""


class FileTooLarge(FileFailure, label="file_too_large"):
    """It has more bytes than are taken."""


class FileRefused(FileFailure, label="file_refused"):
    """Its address is none that the bridge goes to; nothing was sent there."""


class FileUnreachable(FileFailure, label="file_unreachable"):
    """Time-out, broken connection, or an answer that is neither the file nor a clear no."""
