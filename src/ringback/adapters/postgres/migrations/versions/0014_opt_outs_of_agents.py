"""Attempts in which an agent filed `do_not_call` have the opt-out that set_disposition writes from now on.

The session counts nothing, so the trigger of 0011 marks the concluded ones, and the scheduler corrects their numbers.
"""

from alembic import op

revision = "0014"
down_revision = "0013"

_FILED = "SELECT attempt_id FROM dispositions WHERE code = 'do_not_call' AND attempt_id IS NOT NULL"


def upgrade() -> None:
    # The call, so that a later report of the attempt does not suppress a person anew whose suppression was lifted.
    op.execute(
        "UPDATE calls SET no_more_retries = 'opt_out' WHERE phone <> 'erased' "
        f"AND call_id IN (SELECT call_id FROM attempts WHERE attempt_id IN ({_FILED}))"
    )
    op.execute(
        "UPDATE attempts SET business = business || '{\"opt_out\": true}' WHERE phone <> 'erased' "
        f"AND NOT business ? 'opt_out' AND attempt_id IN ({_FILED})"
    )
