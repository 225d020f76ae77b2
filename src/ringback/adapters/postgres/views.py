"""Reads for the API and the command line: calls, their timelines, events and suppressions."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from ringback.adapters.clock import id_of
from ringback.adapters.postgres.conditions import conditions_of
from ringback.adapters.postgres.contact_snapshot import read_contact_snapshot
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.pool import Connection, Pool, connection_of
from ringback.adapters.postgres.rows import item_of, literals
from ringback.domain.call import OPEN_TASK, CallStatus
from ringback.domain.contact_snapshot import ContactSnapshot
from ringback.storage import CallFilter

Item = dict[str, Any]

# The held task may be due later than the hold ends.
_DUE_AT = "greatest({0}.due_at, {0}.due_before_hold)"
# A scheduled call whose task has been released is on its way to the processor.
_STATUS = "CASE WHEN c.status = 'scheduled' AND t.status = 'dispatched' THEN 'queued' ELSE c.status END"
_FROM_CALLS = f"FROM calls c LEFT JOIN tasks t ON t.call_id = c.call_id AND t.status IN {literals(OPEN_TASK)}"
_COLUMNS = f"c.call_id, c.contact_id, {_STATUS} AS status, c.reason, c.final, {_DUE_AT.format('t')} AS next_eligible_at"
_CALLS = f"SELECT {_COLUMNS} {_FROM_CALLS} "
#: The console's list also says who is called, from where, and since when.
_CALLS_IN_DETAIL = f"""
SELECT {_COLUMNS}, c.phone, c.agent_id, c.from_number, c.accepted_at, c.expires_at, c.metadata, p.time_zone
{_FROM_CALLS} LEFT JOIN contacts p ON p.contact_id = c.contact_id
"""
_LAST_DECISIONS = """
SELECT asked.call_id, last.at, last.kind, last.detail FROM unnest($1::text[]) AS asked (call_id), LATERAL (
    SELECT at, kind, detail FROM gate_decisions WHERE call_id = asked.call_id ORDER BY id DESC LIMIT 1) AS last
"""
_NEWEST = f"""
SELECT c.call_id, c.contact_id, c.phone, c.agent_id, c.from_number, {_STATUS} AS status, c.reason, c.accepted_at
{_FROM_CALLS} ORDER BY c.call_id DESC LIMIT $1
"""
# The version of a row, xmin, is another one after each update. So the mark of a call changes with each change of its
# rows, by any process. Every part reads the rows of one call by an index.
_MARKED = ("tasks", "attempts", "gate_decisions", "provider_events", "outbox", "action_results", "dispositions")
_CALL_WITH_ID = """
SELECT call_id FROM calls WHERE call_id = $1
UNION ALL SELECT call_id FROM attempts WHERE attempt_id = $1
UNION ALL SELECT call_id FROM attempts WHERE provider_call_id = $1
UNION ALL SELECT call_id FROM tasks WHERE task_id = $1
UNION ALL SELECT call_id FROM outbox WHERE message_id = $1 AND call_id IS NOT NULL
LIMIT 1
"""
_WEBHOOKS = """
SELECT received_at AS at, event, fate, body FROM provider_events
WHERE call_id = $1 AND attempt_id = $2 ORDER BY received_at LIMIT $3
"""
_MARK = "(SELECT string_agg(r.xmin::text, '.' ORDER BY r.ctid) FROM {} r WHERE r.call_id = c.call_id)"
_MARKS = f"""
SELECT c.call_id, concat_ws(',', c.xmin, {", ".join(map(_MARK.format, _MARKED))}) AS mark
FROM calls c WHERE c.call_id = ANY ($1)
"""
# The conditions for a shown status that is not the stored one, by index: few tasks are released at a time.
_AND_SHOWN_AS: dict[str, str] = {
    CallStatus.SCHEDULED: " AND t.status IS DISTINCT FROM 'dispatched'",
    CallStatus.QUEUED: f""" AND {_STATUS} = 'queued' AND c.call_id IN (
        SELECT call_id FROM calls WHERE status = 'queued'
        UNION SELECT call_id FROM tasks WHERE status = 'dispatched')""",
}
#: More than two machines' clocks differ while calls are accepted and dialed.
_IDS_DIFFER = timedelta(hours=1)
_LATE_BY = "interval '5 minutes'"
# With statement_timestamp(), which is the same for every row, the planner reads all attempts to answer EXISTS.
_STUCK = f"""
NOT c.final AND ({_DUE_AT.format("t")} < clock_timestamp() - {_LATE_BY} OR EXISTS (
    SELECT FROM attempts AS a WHERE a.call_id = c.call_id
      AND (a.state = 'unknown' OR a.next_check_at < clock_timestamp() - {_LATE_BY})))
"""
#: If no more calls are late, a list of the stuck ones reads them alone.
_FEW = 1000
#: An index can be searched by it, which clock_timestamp() does not allow.
_LATE = f"statement_timestamp() - {_LATE_BY}"
# By the indexes of what is due: most open calls are planned for later, and each would be looked at. The statistics know
# no connection between a status and its times, so without an order the planner reads the whole table. An unknown
# attempt has a next check.
_PERHAPS_STUCK = "SELECT call_id FROM ({}) AS late".format(
    " UNION ".join(
        f"(SELECT call_id FROM {table} WHERE {condition} ORDER BY {time} LIMIT {_FEW + 1})"
        for table, time, condition in (
            *(("tasks", "due_at", f"status = '{status}' AND due_at < {_LATE}") for status in sorted(OPEN_TASK)),
            ("attempts", "next_check_at", f"next_check_at < {_LATE}"),
            ("attempts", "next_check_at", "next_check_at IS NOT NULL AND state = 'unknown'"),
        )
    )
)
_ATTEMPTS = """
SELECT call_id, attempt_id, number, state, provider_call_id, dial, party, "end", business, disconnection_reason,
       placed_at, started_at, ended_at, duration_ms, cost_cents, recording_url, transcript, summary, sentiment, analysis
FROM attempts WHERE call_id = ANY ($1::text[]) ORDER BY number
"""
_TASKS = f"""
SELECT call_id, task_id, kind, {_DUE_AT.format("tasks")} AS due_at, local_time, time_zone, status
FROM tasks WHERE call_id = ANY ($1::text[]) ORDER BY created_at, task_id
"""
_SUPPRESSIONS = """
SELECT suppression_id, phone, contact_id, reason, source, created_at FROM suppressions WHERE lifted_at IS NULL
"""
# All events in an order that no late commit can change. An event appears once all transactions that began to write
# before its own have ended, so later commits have later positions. A call's transactions run one after the other under
# its lock, so its events keep their sequence. The price: an open transaction anywhere in the cluster delays the feed,
# but never the deliveries.
_EVENTS = """
SELECT xact::text || '-' || id AS cursor, payload AS event FROM outbox
WHERE kind = 'abt_event' AND xact < pg_snapshot_xmin(pg_current_snapshot())
  AND (xact, id) > ($1::text::xid8, $2::bigint)
ORDER BY xact, id LIMIT $3
"""
_FIRST_CURSOR = "0-0"
_SUPPRESSIONS_OF_CALL = " UNION ".join(
    f"""SELECT s.suppression_id, s.source, s.reason, s.created_at, s.lifted_at, s.lifted_reason
        FROM suppressions s JOIN calls USING ({key}) WHERE call_id = $1"""
    for key in ("phone", "contact_id")
)
# Each statement takes the call id and returns `at`, `kind` and the facts of that kind. Entries with the same `at` keep
# the order of the statements: causes before effects. No phone number, no transcript and no raw body is selected.
_TRACES = (
    f"""SELECT s.created_at AS at, 'suppression_added' AS kind, s.suppression_id, s.source, s.reason
       FROM ({_SUPPRESSIONS_OF_CALL}) AS s""",
    f"""SELECT s.lifted_at AS at, 'suppression_lifted' AS kind, s.suppression_id, s.lifted_reason AS reason
       FROM ({_SUPPRESSIONS_OF_CALL}) AS s WHERE s.lifted_at IS NOT NULL""",
    """SELECT accepted_at AS at, 'call_accepted' AS kind, contact_id, agent_id, expires_at
       FROM calls WHERE call_id = $1""",
    """SELECT created_at AS at, 'task_created' AS kind, task_id, kind AS task_kind,
              coalesce(due_before_hold, due_at) AS due_at, local_time, time_zone, source, reason, status, dispatch
       FROM tasks WHERE call_id = $1 ORDER BY task_id""",
    """SELECT created_at AS at, 'call_message' AS kind, payload ->> 'task_id' AS task_id,
              (payload ->> 'dispatch')::integer AS dispatch, delivered_at, tries, dead_at, last_error
       FROM outbox WHERE call_id = $1 AND kind = 'call_message' ORDER BY id""",
    """SELECT at, kind, attempt_id, detail FROM gate_decisions WHERE call_id = $1 ORDER BY id""",
    """SELECT placed_at AS at, 'attempt_placed' AS kind, attempt_id, number, provider_call_id
       FROM attempts WHERE call_id = $1 AND placed_at IS NOT NULL ORDER BY number""",
    """SELECT started_at AS at, 'attempt_connected' AS kind, attempt_id, number, party
       FROM attempts WHERE call_id = $1 AND started_at IS NOT NULL ORDER BY number""",
    """SELECT ended_at AS at, 'attempt_ended' AS kind, attempt_id, number, disconnection_reason, duration_ms
       FROM attempts WHERE call_id = $1 AND ended_at IS NOT NULL ORDER BY number""",
    """SELECT received_at AS at, 'provider_event' AS kind, event, fate, provider_call_id, attempt_id
       FROM provider_events WHERE call_id = $1 ORDER BY received_at""",
    """SELECT at, 'action' AS kind, action, door, reply ->> 'code' AS code, (reply ->> 'ok')::boolean AS ok
       FROM action_results WHERE call_id = $1 ORDER BY at""",
    """SELECT at, 'disposition' AS kind, code, note, attempt_id FROM dispositions WHERE call_id = $1 ORDER BY at""",
    """SELECT created_at AS at, kind, payload ->> 'type' AS type, message_id AS event_id,
              payload -> 'data' ->> 'attempt_id' AS attempt_id,
              (payload -> 'data' ->> 'sequence')::integer AS sequence, payload -> 'data' ->> 'reason' AS reason,
              (payload -> 'data' ->> 'is_final')::boolean AS is_final, delivered_at, tries, dead_at, last_error
       FROM outbox WHERE call_id = $1 AND kind = 'abt_event' ORDER BY id""",
    """SELECT created_at AS at, kind, message_id,
              (SELECT jsonb_agg(name) FROM json_object_keys(payload -> 'fields') AS name) AS fields,
              CASE WHEN delivered_at IS NOT NULL THEN 'delivered' WHEN dead_at IS NOT NULL THEN 'dead'
                   ELSE 'waiting' END AS delivery, delivered_at, tries, dead_at, last_error
       FROM outbox WHERE call_id = $1 AND kind NOT IN ('call_message', 'abt_event') ORDER BY id""",
)


class PostgresViews:
    """All methods raise StoreUnavailable. Times are RFC 3339 texts in UTC. A page is (items, next cursor or None)."""

    def __init__(self, pool: Pool, hashing: Hashing | None = None) -> None:
        self._pool = pool
        self._hashing = hashing or Hashing()

    async def call(self, call_id: str) -> Item | None:
        async with connection_of(self._pool) as connection:
            found = await _read_calls(connection, _CALLS + "WHERE c.call_id = $1", [call_id])
        return found[0] if found else None

    async def call_with_id(self, any_id: str) -> str | None:
        """Find the call that has this id, or whose attempt, task, event or call at Retell has it."""
        async with connection_of(self._pool) as connection:
            found: str | None = await connection.fetchval(_CALL_WITH_ID, any_id)
        return found

    async def webhooks(self, call_id: str, attempt_id: str, *, limit: int) -> list[Item]:
        """Return the oldest webhooks about an attempt, each with its body, None if that is not kept."""
        async with connection_of(self._pool) as connection:
            return [item_of(row) for row in await connection.fetch(_WEBHOOKS, call_id, attempt_id, limit)]

    async def calls(self, wanted: CallFilter, *, cursor: str | None, limit: int) -> tuple[list[Item], str | None]:
        """Return a page of calls, the newest first."""
        conditions, values = await self._asked(wanted, cursor)
        statement = f"{_CALLS} WHERE true {conditions} ORDER BY c.call_id DESC LIMIT {limit + 1:d}"
        async with connection_of(self._pool) as connection:
            found = await _read_calls(connection, statement, values)
        return _page(found, "call_id", limit)

    async def calls_in_detail(
        self, wanted: CallFilter, *, cursor: str | None, limit: int
    ) -> tuple[list[Item], str | None]:
        """Return a page of calls with phone, agent and times, each with its `last_decision` or None."""
        conditions, values = await self._asked(wanted, cursor)
        statement = f"{_CALLS_IN_DETAIL} WHERE true {conditions} ORDER BY c.call_id DESC LIMIT {limit + 1:d}"
        return _page(await self._in_detail(statement, values), "call_id", limit)

    async def call_in_detail(self, call_id: str) -> Item | None:
        found = await self._in_detail(f"{_CALLS_IN_DETAIL} WHERE c.call_id = $1", [call_id])
        return found[0] if found else None

    async def calls_by_id(self, call_ids: Collection[str]) -> list[Item]:
        """Return these calls as `calls_in_detail` does, in no order."""
        return await self._in_detail(f"{_CALLS_IN_DETAIL} WHERE c.call_id = ANY ($1)", [list(call_ids)])

    async def newest_calls(self, limit: int) -> list[Item]:
        """Return the person, the agent, the status and the time of the newest calls. The times are no texts."""
        async with connection_of(self._pool) as connection:
            return [dict(row) for row in await connection.fetch(_NEWEST, limit)]

    async def marks(self, call_ids: Collection[str]) -> dict[str, str]:
        """Return a mark of each of these calls that exists. It differs after every change of the call's rows."""
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(_MARKS, list(call_ids))
        return {row["call_id"]: row["mark"] for row in rows}

    async def _in_detail(self, statement: str, values: Sequence[object]) -> list[Item]:
        async with connection_of(self._pool) as connection:
            found = await _read_calls(connection, statement, values)
            ids = [call["call_id"] for call in found]
            decisions = _by_call(await connection.fetch(_LAST_DECISIONS, ids))
        return [call | {"last_decision": next(iter(decisions[call["call_id"]]), None)} for call in found]

    async def count_calls(self, wanted: CallFilter, most: int) -> int:
        """Count the calls of a list, but no more than `most`."""
        late = await self._perhaps_stuck() if wanted.stuck else None
        count = await self._count(wanted, late, most)
        if late is not None and len(late) > _FEW and count < most:
            # There are more than these, so the others are looked at too.
            count = await self._count(wanted, None, most)
        return count

    async def _count(self, wanted: CallFilter, among: Sequence[str] | None, most: int) -> int:
        conditions, values = _asked(wanted, None, among)
        # The task of each counted call is looked up only where a condition is about it.
        calls = _FROM_CALLS if wanted.stuck or wanted.status in _AND_SHOWN_AS else "FROM calls c"
        counted = f"SELECT c.call_id {calls} WHERE true {conditions} ORDER BY c.call_id DESC LIMIT {most:d}"
        async with connection_of(self._pool) as connection:
            count: int = await connection.fetchval(f"SELECT count(*) FROM ({counted}) AS counted", *values)
        return count

    async def _perhaps_stuck(self) -> list[str]:
        """Return the calls that are late. If there are more than `_FEW`, only as many of each kind."""
        async with connection_of(self._pool) as connection:
            return [call_id for (call_id,) in await connection.fetch(_PERHAPS_STUCK)]

    async def _asked(self, wanted: CallFilter, cursor: str | None) -> tuple[str, list[Any]]:
        """Build the conditions of a page of calls, and their values."""
        late = await self._perhaps_stuck() if wanted.stuck else None
        return _asked(wanted, cursor, late if late is not None and len(late) <= _FEW else None)

    async def timeline(self, call_id: str) -> list[Item] | None:
        """Return the entries in order of time, each {at, kind, ...}, without absent facts. None: no such call."""
        async with connection_of(self._pool) as connection:
            if not await connection.fetchval("SELECT true FROM calls WHERE call_id = $1", call_id):
                return None
            entries: list[tuple[datetime, Item]] = []
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                for trace in _TRACES:
                    entries += [(row["at"], item_of(row)) for row in await connection.fetch(trace, call_id)]
        return [
            {name: value for name, value in entry.items() if value is not None}
            for _, entry in sorted(entries, key=lambda entry: entry[0])
        ]

    async def contact_snapshot(self, phone: str | None, contact_id: str | None, now: datetime) -> ContactSnapshot:
        async with connection_of(self._pool) as connection:
            return await read_contact_snapshot(connection, self._hashing, phone, contact_id, now)

    async def events(self, *, after: str | None, limit: int) -> tuple[list[Item], str, bool]:
        """Return a page of ABT events, the cursor behind it, and whether more events are there.

        `after` is a cursor: two numbers with a hyphen between them. An empty page has the cursor that was given.
        """
        cursor = after or _FIRST_CURSOR
        xact, _, row_id = cursor.partition("-")
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(_EVENTS, xact, int(row_id), limit + 1)
        items = [dict(row) for row in rows[:limit]]
        return items, items[-1]["cursor"] if items else cursor, len(rows) > limit

    async def suppressions(
        self, *, phone: str | None, contact_id: str | None, cursor: str | None, limit: int
    ) -> tuple[list[Item], str | None]:
        """Return the suppressions in force that match the phone or the contact, or all. The newest come first."""
        matches, values = conditions_of({"phone = ": phone, "contact_id = ": contact_id}, joined_by="OR")
        older, more = conditions_of({"suppression_id < ": cursor}, first=len(values) + 1)
        matches = f"AND ({matches.removeprefix('OR ')})" if matches else ""
        statement = f"{_SUPPRESSIONS} {matches} {older} ORDER BY suppression_id DESC LIMIT {limit + 1:d}"
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(statement, *values, *more)
        return _page([item_of(row) for row in rows], "suppression_id", limit)


def _asked(wanted: CallFilter, cursor: str | None, among: Sequence[str] | None) -> tuple[str, list[Any]]:
    """Build the conditions of a list of calls, and their values. `among` are the only calls that it may have."""
    # The statement holds only the conditions with a value: one plan for all conditions could not use an index.
    # Ids are UUIDv7, so their order is the order of time, and the last id of a page is the cursor.
    since, until = wanted.since, wanted.until
    asked = {
        "c.contact_id = ": wanted.contact_id,
        "c.phone = ": wanted.phone,
        "c.status = ": None if wanted.status == CallStatus.QUEUED else wanted.status,
        "c.reason = ": wanted.reason,
        "c.agent_id = ": wanted.agent_id,
        "c.from_number = ": wanted.from_number,
        "c.accepted_at >= ": since,
        "c.accepted_at < ": until,
        # No index orders the times of acceptance. The ids are in that order, but for the clocks' differences.
        "c.call_id >= ": id_of(since - _IDS_DIFFER) if since is not None else None,
        "c.call_id <= ": id_of(until + _IDS_DIFFER) if until is not None else None,
        "c.call_id < ": cursor,
    }
    conditions, values = conditions_of(asked)
    conditions += _AND_SHOWN_AS.get(wanted.status or "", "")
    if wanted.stuck:
        conditions += f" AND {_STUCK}"
    if among is not None:
        values.append(list(among))
        conditions += f" AND c.call_id = ANY (${len(values)})"
    return conditions, values


async def _read_calls(connection: Connection, statement: str, values: Sequence[object]) -> list[Item]:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        calls = [item_of(row) for row in await connection.fetch(statement, *values)]
        ids = [call["call_id"] for call in calls]
        attempts = _by_call(await connection.fetch(_ATTEMPTS, ids))
        tasks = _by_call(await connection.fetch(_TASKS, ids))
    for call in calls:
        call["attempts"] = attempts[call["call_id"]]
        call["tasks"] = tasks[call["call_id"]]
    return calls


def _by_call(rows: Sequence[Any]) -> dict[str, list[Item]]:
    grouped: dict[str, list[Item]] = defaultdict(list)
    for row in rows:
        item = item_of(row)
        grouped[item.pop("call_id")].append(item)
    return grouped


def _page(found: list[Item], key: str, limit: int) -> tuple[list[Item], str | None]:
    items = found[:limit]
    return items, items[-1][key] if len(found) > limit else None
