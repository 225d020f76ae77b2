"""The advisory locks of transactions: of a phone, of a contact, and the one capacity lock of the installation."""

LOCK_PHONE = "SELECT pg_advisory_xact_lock(hashtextextended('phone:' || $1, 0))"
LOCK_CONTACT = "SELECT pg_advisory_xact_lock(hashtextextended('contact:' || $1, 0))"
LOCK_CAPACITY = "SELECT pg_advisory_xact_lock(hashtextextended('capacity', 0))"
LOCK_CONTACTS_OF_CALL = """
SELECT pg_advisory_xact_lock(hashtextextended('phone:' || phone, 0)),
       pg_advisory_xact_lock(hashtextextended('contact:' || contact_id, 0))
FROM calls WHERE call_id = $1
"""
# For the calls of a group. It waits for no lock, because it holds those of others.
TRY_CONTACTS_OF_CALLS = """
SELECT call_id, phone, contact_id,
       pg_try_advisory_xact_lock(hashtextextended('phone:' || phone, 0))
       AND pg_try_advisory_xact_lock(hashtextextended('contact:' || contact_id, 0)) AS locked
FROM calls WHERE call_id = ANY ($1::text[])
"""
