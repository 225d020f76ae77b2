"""Bugs of HTTP: unknown clients, requests without a limit, and stale responses on kept connections."""

from proof.invariants import Invariant
from proof.planted.bug import Right, edited, planted
from ringback.web.connections import LimitedProtocol

I1, I2, I12, I14 = Invariant.I1, Invariant.I2, Invariant.I12, Invariant.I14
I15, I18 = Invariant.I15, Invariant.I18

MAKING_ROOM = "ringback.web.limits:BodyReader._make_room"
RECEIVING = "ringback.web.connections:LimitedProtocol.data_received"

_CONNECTIONS = "web/test_connections.py::"
_BODIES = "web/test_body_reader.py::"
_API = "web/test_before_authentication.py::"
_RECEIVER = "services/test_webhook_receiver.py::"

the_body_before_the_key = edited(
    "ringback.web.limits:AuthenticatedBody.__call__",
    old="if self._authenticate is not None: await self._authenticate(request)",
    new="",
    aims=(I18, I1),
    why="The routers ask for the key anyway.",
    tests=(f"{_API}test_without_a_key_the_answer_does_not_wait_for_the_body",),
)

unfinished_requests_take_places = edited(
    "ringback.web.app:create_application",
    old="""
        app.add_middleware(LoadShedding)
        app.add_middleware(AuthenticatedBody, bodies=BodyReader(metrics), authenticate=authenticate)
    """,
    new="""
        app.add_middleware(AuthenticatedBody, bodies=BodyReader(metrics), authenticate=authenticate)
        app.add_middleware(LoadShedding)
    """,
    aims=(I1,),
    why="It is cheapest to refuse a crowd before anything else is done.",
    tests=(f"{_API}test_two_hundred_unfinished_requests_keep_no_client_out",),
)

every_wrong_key_asks_the_database = edited(
    "ringback.web.auth:ApiKeys._find_stranger",
    old="""
        async with self._strangers:
            return await self._find_key(key_hash)
    """,
    new="return await self._find_key(key_hash)",
    aims=(I1,),
    why="The pool has a limit of its own.",
    tests=(f"{_API}test_a_flood_of_wrong_keys_asks_the_database_twice_at_once_and_delays_no_known_key",),
)

an_unsigned_webhook_is_read = edited(
    "ringback.services.webhook_receiver:webhook_route",
    old="not ports.may_be_genuine(signature, now_ms())",
    new="not signature",
    aims=(I15, I12),
    why="The signature is over the body.",
    tests=(f"{_RECEIVER}test_what_cannot_be_genuine_is_answered_401_before_its_body",),
)

an_unsigned_tool_call_is_read = edited(
    "ringback.web.routes.retell:RetellApi.signed_body",
    old="not self.may_be_genuine(signature)",
    new="not signature",
    aims=(I15, I18),
    why="The signature is over the body.",
    tests=("web/test_retell_routes.py::test_what_cannot_be_genuine_is_answered_401_before_its_body",),
)


@planted(
    "ringback.web.limits:WEBHOOKS_AT_ONCE",
    aims=(I12,),
    why="Retell sends a refused webhook again.",
    tests=(f"{_RECEIVER}test_a_thousand_webhooks_at_once_wait_for_a_slow_queue_instead_of_being_sent_away",),
)
def a_crowd_of_webhooks_is_sent_away(_: int) -> int:
    return 96


bodies_hold_what_they_like = edited(
    MAKING_ROOM,
    old="self._unfinished and (self._held > self._most_bytes or len(self._unfinished) > self._most_unfinished)",
    new="len(self._unfinished) > self._most_unfinished",
    aims=(I12, I18),
    why="Each body has its limit.",
    tests=(
        f"{_BODIES}test_the_one_that_has_been_arriving_longest_gives_way",
        f"{_BODIES}test_a_newcomer_gives_way_to_those_that_are_being_answered",
    ),
)

the_newest_body_gives_way = edited(
    MAKING_ROOM,
    old="next(iter(self._unfinished))",
    new="next(reversed(self._unfinished))",
    aims=(I12,),
    why="First come, first served.",
    tests=(f"{_BODIES}test_the_one_that_has_been_arriving_longest_gives_way",),
)


@planted(
    RECEIVING,
    aims=(I18, I12),
    why="A client that continues to send is alive.",
    tests=(f"{_CONNECTIONS}test_a_head_that_drips_is_answered_408",),
)
def half_a_head_may_wait(right: Right, protocol: LimitedProtocol, data: bytes) -> None:
    if protocol._is_in_head:
        protocol._unlimit_head()
    right(protocol, data)


a_head_of_any_size = edited(
    RECEIVING,
    old="self._received > MAX_HEAD_BYTES + 2 * self._body_bytes",
    new="self._received > MAX_HEAD_BYTES + 2 * self._body_bytes and not self._is_in_head",
    aims=(I18,),
    why="The size is checked when the head is complete.",
    tests=(f"{_CONNECTIONS}test_a_head_over_the_limits_is_answered_431_and_the_connection_closed",),
)

idle_connections_keep_their_place = edited(
    "ringback.web.connections:Connections.make_room",
    old="next(iter(self.waiting), newest)",
    new="newest",
    aims=(I1, I12),
    why="First come, first served.",
    tests=(f"{_CONNECTIONS}test_idle_connections_give_way_to_new_ones",),
)

dials_share_a_connection = edited(
    "ringback.adapters.retell.client:_one_request_each",
    old="aiohttp.TCPConnector(ssl=ssl_context, limit=most, force_close=True)",
    new="aiohttp.TCPConnector(ssl=ssl_context, limit=most)",
    aims=(I2,),
    why="A handshake for each dial is waste.",
    tests=(
        "adapters/retell/test_left_behind.py"
        "::test_a_refusal_left_on_a_connection_is_not_taken_for_the_answer_to_the_next_dial",
    ),
)

an_answer_that_was_there_before_counts = edited(
    "ringback.adapters.engage_http:_CleanConnections._get",
    old="not connection.protocol.should_close",
    new="connection.protocol.is_connected()",
    aims=(I14,),
    why="A connection that is open can be used.",
    tests=(
        "adapters/test_engage_http.py::test_an_answer_left_on_a_connection_is_not_taken_for_that_to_the_next_event",
    ),
)
