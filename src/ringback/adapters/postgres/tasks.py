"""The SQL of `tasks`."""

from ringback.adapters.postgres.rows import literals, named_columns, task_from
from ringback.adapters.postgres.tracked_rows import TrackedRows
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.domain.call import OPEN_TASK as OPEN_TASK_STATUSES
from ringback.domain.call import Task

TASK = f"SELECT {named_columns(Task)} FROM tasks WHERE task_id = $1 FOR UPDATE"
OPEN_TASK = f"""
SELECT {named_columns(Task)} FROM tasks
WHERE call_id = $1 AND status IN {literals(OPEN_TASK_STATUSES)} FOR UPDATE
"""
# The acceptance dispatches some tasks at once, and the scheduler releases the others. Each kind has a count of its own.
# So a call that is triggered now does not wait for a backlog, and a burst of such calls does not delay a backlog.
# Messages that are lost repeatedly do not count.
DISPATCHED_AT_ONCE = "status = 'dispatched' AND redispatches = 0 AND dispatched_at = created_at"
_RELEASED = "status = 'dispatched' AND redispatches = 0 AND dispatched_at IS DISTINCT FROM created_at"
# Task rows only: the claim decides under the contact's lock whether the call may still be dialed.
# Nothing is released while dialing is paused. Messages would only grow old in the queue, which keeps them for days at
# most. They would be published again as lost, and would all be received at once after the resume.
# The queue holds no more messages than can be started soon. A backlog of any size waits here in the order of due times.
RELEASE_DUE = f"""
WITH due AS (
    SELECT task_id FROM tasks WHERE status = 'pending' AND due_at <= $1
      AND (SELECT paused_at IS NULL FROM installation)
    ORDER BY due_at
    LIMIT greatest(0, least($2, $3 - (SELECT count(*) FROM tasks WHERE {_RELEASED})))
    FOR UPDATE SKIP LOCKED),
released AS (
    UPDATE tasks SET status = 'dispatched', dispatch = dispatch + 1, dispatched_at = $1, redispatches = 0
    WHERE task_id = ANY (ARRAY(SELECT task_id FROM due)) RETURNING task_id, call_id, dispatch)
INSERT INTO outbox (kind, message_id, call_id, payload, created_at, due_at, ready_at)
SELECT 'call_message', task_id || ':' || dispatch, call_id,
       json_build_object('call_id', call_id, 'task_id', task_id, 'dispatch', dispatch), $1, $1, $1
FROM released
"""
# A held task is due at the end of the longest hold.
END_HOLDS = """
WITH over AS (SELECT task_id FROM tasks WHERE status = 'held' AND due_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
UPDATE tasks SET status = 'pending', due_at = coalesce(due_before_hold, due_at), due_before_hold = NULL
WHERE task_id = ANY (ARRAY(SELECT task_id FROM over))
"""
# A dispatch whose message is still in the outbox is late, not lost. A message that is lost repeatedly becomes a dead
# letter each time. It is left to the operator, and the call's expiry still ends the call.
REDISPATCH_LOST = """
WITH lost AS (
    SELECT task_id FROM tasks WHERE status = 'dispatched' AND dispatched_at < $1
      AND (SELECT paused_at IS NULL FROM installation)
      AND redispatches < $4
      AND NOT EXISTS (SELECT FROM outbox WHERE message_id = task_id || ':' || dispatch
                        AND delivered_at IS NULL AND dead_at IS NULL)
    ORDER BY dispatched_at LIMIT $3 FOR UPDATE SKIP LOCKED),
released AS (
    UPDATE tasks SET dispatch = dispatch + 1, dispatched_at = $2, redispatches = redispatches + 1
    WHERE task_id = ANY (ARRAY(SELECT task_id FROM lost)) RETURNING task_id, call_id, dispatch)
INSERT INTO outbox (kind, message_id, call_id, payload, created_at, due_at, ready_at)
SELECT 'call_message', task_id || ':' || dispatch, call_id,
       json_build_object('call_id', call_id, 'task_id', task_id, 'dispatch', dispatch), $2, $2, $2
FROM released
"""


class PostgresTasks:
    """Implements `storage.Tasks`."""

    def __init__(self, connection: UnitConnection, rows: TrackedRows) -> None:
        self._connection = connection
        self._rows = rows

    async def get(self, task_id: str) -> Task | None:
        record = await self._connection.read(TASK, task_id)
        return self._rows.remember(task_from(record)) if record else None

    async def open_for(self, call_id: str) -> Task | None:
        record = await self._connection.read(OPEN_TASK, call_id)
        return self._rows.remember(task_from(record)) if record else None
