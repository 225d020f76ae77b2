"""The SQL of the clock: tasks that are due, dispatches that were lost, calls that expired, attempts to look after."""

from ringback.adapters.postgres.rows import literals, named_columns
from ringback.domain.attempt import SHOWN_AS_STATUS, Attempt

MOST_REDISPATCHES = 5

# Task rows only: whether the call may still be dialed is decided by the claim, under the person's lock.
# Nothing is released while dialing is paused: nobody takes messages then, so they would only grow old in the queue
# (which keeps them for days at most), be published again as lost, and all come at once when dialing is resumed.
# No more is in the queue than can be started soon, so that a backlog of any size waits here, in the order of due times,
# and a call that is triggered now does not stand behind all of it. Messages that keep getting lost do not count.
RELEASE_DUE = """
WITH due AS (
    SELECT task_id FROM tasks WHERE status = 'pending' AND due_at <= $1
      AND (SELECT paused_at IS NULL FROM installation)
    ORDER BY due_at
    LIMIT greatest(0, least($2, $3 - (SELECT count(*) FROM tasks WHERE status = 'dispatched' AND redispatches = 0)))
    FOR UPDATE SKIP LOCKED),
released AS (
    UPDATE tasks SET status = 'dispatched', dispatch = dispatch + 1, dispatched_at = $1, redispatches = 0
    FROM due WHERE tasks.task_id = due.task_id RETURNING tasks.task_id, call_id, dispatch)
INSERT INTO outbox (kind, message_id, call_id, payload, created_at, due_at)
SELECT 'call_message', task_id || ':' || dispatch, call_id,
       json_build_object('call_id', call_id, 'task_id', task_id, 'dispatch', dispatch), $1, $1
FROM released
"""
# The longest hold is over and nothing was heard of the inbound call's end. Not one statement with the next: the end of
# an inbound call locks that call's row and then its tasks, which this would do in the other order.
GIVE_UP_INBOUND = "UPDATE inbound_calls SET released_at = hold_until WHERE released_at IS NULL AND hold_until <= $1"
# A held task is due at the end of the longest hold.
END_HOLDS = """
WITH over AS (SELECT task_id FROM tasks WHERE status = 'held' AND due_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
UPDATE tasks SET status = 'pending', due_at = coalesce(due_before_hold, due_at), due_before_hold = NULL
FROM over WHERE tasks.task_id = over.task_id
"""
# A dispatch whose message is still in the outbox is late, not lost. One that was lost again and again is no loss but a
# message that ends in the dead letters each time: it is left to the operator, and the call's expiry still ends it.
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
    FROM lost WHERE tasks.task_id = lost.task_id RETURNING tasks.task_id, call_id, dispatch)
INSERT INTO outbox (kind, message_id, call_id, payload, created_at, due_at)
SELECT 'call_message', task_id || ':' || dispatch, call_id,
       json_build_object('call_id', call_id, 'task_id', task_id, 'dispatch', dispatch), $2, $2
FROM released
"""
# A call whose attempt is in progress is ended by that attempt's verdict, never by the clock.
PAST_EXPIRY = f"""
SELECT call_id FROM calls WHERE NOT final AND expires_at <= $1
  AND NOT EXISTS (SELECT FROM attempts WHERE attempts.call_id = calls.call_id AND verdict_type IS NULL
                    AND state IN {literals(SHOWN_AS_STATUS)})
ORDER BY expires_at LIMIT $2
"""
TAKE_CHECKS = f"""
WITH due AS (
    SELECT attempt_id FROM attempts WHERE next_check_at <= $1
    ORDER BY next_check_at LIMIT $3 FOR UPDATE SKIP LOCKED)
UPDATE attempts SET next_check_at = $2 FROM due WHERE attempts.attempt_id = due.attempt_id
RETURNING {named_columns(Attempt, of="attempts")}
"""
FREE_SLOTS = """
SELECT CASE WHEN paused_at IS NOT NULL OR breaker_until > $3::timestamptz THEN 0
            ELSE greatest(0, least(
                $1 - (SELECT count(*) FROM attempts WHERE holds_slot),
                $2 - (SELECT count(*) FROM attempts WHERE claimed_at > $3::timestamptz - interval '1 second'))) END
FROM installation
"""
