"""The facts about a person that the eligibility check needs, in one statement."""

from ringback.adapters.postgres.attempts import of_person
from ringback.adapters.postgres.inbound_calls import HELD_UNTIL
from ringback.adapters.postgres.person_hash import KEYS_IN_USE, covering
from ringback.adapters.postgres.rows import literals
from ringback.domain.attempt import NEVER_RANG

# A waiting attempt, or one that Retell rejected, never rang and does not count. An unknown one counts as a call.
_OTHERS = "attempt_id IS DISTINCT FROM $3"
_OTHERS_THAT_RANG = f"state NOT IN {literals(NEVER_RANG)} AND {_OTHERS}"
_IN_LAST_DAY = f"sent_at > $4::timestamptz - interval '24 hours' AND {_OTHERS_THAT_RANG}"
PERSON_FACTS = f"""
SELECT EXISTS (SELECT FROM suppressions WHERE {covering("$1", "$2", "$5::text[]")}) AS suppressed,
       {KEYS_IN_USE} AS keys_in_use,
       (SELECT min(attempt_id) FROM ({of_person("attempt_id", f"holds_person AND {_OTHERS}")}) AS holding
       ) AS held_by_attempt,
       recent.count AS attempts_last_day,
       recent.oldest AS oldest_attempt_in_day,
       (SELECT max(sent_at) FROM ({of_person("max(sent_at) AS sent_at", _OTHERS_THAT_RANG)}) AS last
       ) AS last_attempt_at,
       ({HELD_UNTIL}) AS on_inbound_call_until,
       clock_timestamp() AS database_now
FROM (SELECT count(*), min(sent_at) AS oldest
      FROM ({of_person("attempt_id, sent_at", _IN_LAST_DAY)}) AS in_day) AS recent
"""
