"""Bugs of HTTP: unknown clients, requests without a limit, and stale responses on kept connections."""

from proof.planted.bug import Right, planted
from ringback.web.connections import LimitedProtocol

RECEIVING = "ringback.web.connections:LimitedProtocol.data_received"

_CONNECTIONS = "web/test_connections.py::"
_RECEIVER = "services/test_webhook_receiver.py::"


@planted(
    "ringback.web.limits:WEBHOOKS_AT_ONCE",
    "I12",
    f"{_RECEIVER}test_a_thousand_webhooks_at_once_wait_for_a_slow_queue_instead_of_being_sent_away",
)
def a_crowd_of_webhooks_is_sent_away(_: int) -> int:
    """Retell sends a refused webhook again."""
    return 96


@planted(RECEIVING, "I18 I12", f"{_CONNECTIONS}test_a_head_that_drips_is_answered_408")
def half_a_head_may_wait(right: Right, protocol: LimitedProtocol, data: bytes) -> None:
    """A client that continues to send is alive."""
    if protocol._is_in_head:
        protocol._unlimit_head()
    right(protocol, data)
