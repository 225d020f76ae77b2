"""The advisory locks of transactions: of a phone, of a contact, and the one capacity lock of the installation."""

from collections.abc import Iterable

# OFFSET keeps the subquery by itself, so its order is that of the locks.
LOCK_IN_ORDER = """
SELECT pg_advisory_xact_lock(hashtextextended(name, 0))
FROM (SELECT name FROM unnest($1::text[]) WITH ORDINALITY AS given (name, place) ORDER BY place OFFSET 0) AS names
"""
LOCK_CAPACITY = "SELECT pg_advisory_xact_lock(hashtextextended('capacity', 0))"
LOCK_CONTACTS_OF_CALL = """
SELECT phone, contact_id, pg_advisory_xact_lock(hashtextextended('phone:' || phone, 0)),
       pg_advisory_xact_lock(hashtextextended('contact:' || contact_id, 0))
FROM calls WHERE call_id = $1
"""
# The phones of all open calls of the call's contact too, and $2 if it is given. They are named in the order of
# `names_in_order`.
LOCK_EVERY_PHONE_OF_CALL = """
SELECT call.phone, call.contact_id, pg_advisory_xact_lock(hashtextextended(name, 0))
FROM calls AS call, LATERAL (
    SELECT name FROM (
        SELECT 1 AS place, 'phone:' || call.phone AS name
        UNION SELECT 1, 'phone:' || phone FROM calls WHERE NOT final AND contact_id = call.contact_id
        UNION SELECT 1, 'phone:' || $2 WHERE $2::text IS NOT NULL
        UNION SELECT 2, 'contact:' || call.contact_id) AS named
    ORDER BY place, name COLLATE "C" OFFSET 0) AS names
WHERE call_id = $1
"""


def names_in_order(phones: Iterable[str], contact_ids: Iterable[str]) -> list[str]:
    """Name the locks of people in the order in which every transaction takes them."""
    return [f"phone:{one}" for one in sorted(set(phones))] + [f"contact:{one}" for one in sorted(set(contact_ids))]


# For the calls of a group. It waits for no lock, because it holds those of others.
TRY_CONTACTS_OF_CALLS = """
SELECT call_id, phone, contact_id,
       pg_try_advisory_xact_lock(hashtextextended('phone:' || phone, 0))
       AND pg_try_advisory_xact_lock(hashtextextended('contact:' || contact_id, 0)) AS locked
FROM calls WHERE call_id = ANY ($1::text[])
"""
