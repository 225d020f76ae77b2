"""Bugs of the HTTP surface: what is let in before it is known, held without a limit, or taken for an answer."""

from proof.invariants import Invariant
from proof.planted.bug import TextPatch

I1, I2, I12, I14 = Invariant.I1, Invariant.I2, Invariant.I12, Invariant.I14
I15, I18 = Invariant.I15, Invariant.I18

CONNECTIONS = "web/connections.py"
BODIES = "web/limits.py"

_CONNECTIONS = "web/test_connections.py::"
_BODIES = "web/test_bodies.py::"
_DOOR = "web/test_systems_door.py::"
_RECEIVER = "services/test_webhook_receiver.py::"

BUGS = (
    TextPatch(
        name="the_body_before_the_key",
        aims=(I18, I1),
        file="web/limits.py",
        old="                if self._authenticate is not None:\n",
        new="                if self._authenticate is None:\n",
        why="The routers ask for the key anyway.",
        tests=(f"{_DOOR}test_without_a_key_the_answer_does_not_wait_for_the_body",),
    ),
    TextPatch(
        name="unfinished_requests_take_places",
        aims=(I1,),
        file="web/app.py",
        old="    app.add_middleware(LoadShedding)\n"
        "    app.add_middleware(AuthenticatedBody, bodies=BodyReader(metrics), authenticate=authenticate)\n",
        new="    app.add_middleware(AuthenticatedBody, bodies=BodyReader(metrics), authenticate=authenticate)\n"
        "    app.add_middleware(LoadShedding)\n",
        why="A crowd is sent away cheapest before anything else is done.",
        tests=(f"{_DOOR}test_two_hundred_unfinished_requests_keep_nobody_out",),
    ),
    TextPatch(
        name="every_wrong_key_asks_the_database",
        aims=(I1,),
        file="web/auth.py",
        old="            async with self._strangers:\n                return await self._find_key(key_hash)\n",
        new="            return await self._find_key(key_hash)\n",
        why="The pool has a limit of its own.",
        tests=(f"{_DOOR}test_a_flood_of_wrong_keys_asks_the_database_twice_at_once_and_delays_no_known_key",),
    ),
    TextPatch(
        name="an_unsigned_webhook_is_read",
        aims=(I15, I12),
        file="services/webhook_receiver.py",
        old="        if not ports.may_be_genuine(signature, now_ms()):\n",
        new="        if not signature:\n",
        why="The signature is over the body.",
        tests=(f"{_RECEIVER}test_what_cannot_be_genuine_is_answered_401_before_its_body",),
    ),
    TextPatch(
        name="an_unsigned_tool_call_is_read",
        aims=(I15, I18),
        file="web/routes/retell.py",
        old="        if not self.may_be_genuine(signature):\n",
        new="        if not signature:\n",
        why="The signature is over the body.",
        tests=("web/test_retell_doors.py::test_what_cannot_be_genuine_is_answered_401_before_its_body",),
    ),
    TextPatch(
        name="a_crowd_of_webhooks_is_sent_away",
        aims=(I12,),
        file="web/limits.py",
        old="WEBHOOKS_AT_ONCE = 1_200\n",
        new="WEBHOOKS_AT_ONCE = 96\n",
        why="Retell sends again what was refused.",
        tests=(f"{_RECEIVER}test_a_thousand_webhooks_at_once_wait_for_a_slow_queue_instead_of_being_sent_away",),
    ),
    TextPatch(
        name="bodies_hold_what_they_like",
        aims=(I12, I18),
        file=BODIES,
        old="self._unfinished and (self._held > self._most_bytes or len(self._unfinished) > self._most_unfinished):",
        new="len(self._unfinished) > self._most_unfinished:",
        why="Each of them has its limit.",
        tests=(
            f"{_BODIES}test_the_one_that_has_been_arriving_longest_gives_way",
            f"{_BODIES}test_a_newcomer_gives_way_to_those_that_are_being_answered",
        ),
    ),
    TextPatch(
        name="the_newest_body_gives_way",
        aims=(I12,),
        file=BODIES,
        old="            oldest = next(iter(self._unfinished))\n",
        new="            oldest = next(reversed(self._unfinished))\n",
        why="First come, first served.",
        tests=(f"{_BODIES}test_the_one_that_has_been_arriving_longest_gives_way",),
    ),
    TextPatch(
        name="half_a_head_may_wait",
        aims=(I18, I12),
        file=CONNECTIONS,
        old="        elif self._is_in_head and self._received and self._head_deadline is None:\n"
        "            self._limit_head()\n",
        new="        elif self._is_in_head and self._received:\n"
        "            self._unlimit_head()\n            self._limit_head()\n",
        why="A client that goes on sending is alive.",
        tests=(f"{_CONNECTIONS}test_a_head_that_drips_is_answered_408",),
    ),
    TextPatch(
        name="a_head_of_any_size",
        aims=(I18,),
        file=CONNECTIONS,
        old="        if self._received > MAX_HEAD_BYTES + 2 * self._body_bytes:\n",
        new="        if self._received > MAX_HEAD_BYTES + 2 * self._body_bytes and not self._is_in_head:\n",
        why="The size is looked at when the head is complete.",
        tests=(f"{_CONNECTIONS}test_a_head_over_the_limits_is_answered_431_and_the_connection_closed",),
    ),
    TextPatch(
        name="idle_connections_keep_their_place",
        aims=(I1, I12),
        file=CONNECTIONS,
        old="        given_up = next(iter(self.waiting), newest)\n",
        new="        given_up = newest\n",
        why="First come, first served.",
        tests=(f"{_CONNECTIONS}test_idle_connections_give_way_to_new_ones",),
    ),
    TextPatch(
        name="dials_share_a_connection",
        aims=(I2,),
        file="adapters/retell/client.py",
        old="limit=most, force_close=True)",
        new="limit=most)",
        why="A handshake for each dial is waste.",
        tests=(
            "adapters/retell/test_left_behind.py"
            "::test_a_refusal_left_on_a_connection_is_not_taken_for_the_answer_to_the_next_dial",
        ),
    ),
    TextPatch(
        name="an_answer_that_was_there_before_counts",
        aims=(I14,),
        file="adapters/engage_http.py",
        old="            if connection.protocol is None or not connection.protocol.should_close:\n",
        new="            if connection.protocol is None or connection.protocol.is_connected():\n",
        why="A connection that is open can be used.",
        tests=(
            "adapters/test_engage_http.py::test_an_answer_left_on_a_connection_is_not_taken_for_that_to_the_next_event",
        ),
    ),
)
