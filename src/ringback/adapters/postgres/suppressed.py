"""Which suppressions cover a person, in the SQL of every statement that asks."""


def covering(phone: str, contact_id: str) -> str:
    """A condition over `suppressions`; both arguments are SQL expressions. An erased person's stand there as hashes."""
    # The sub-selects compute each hash once per person, not once per row.
    return f"""suppressions.lifted_at IS NULL AND (
        suppressions.phone = {phone} OR suppressions.contact_id = {contact_id}
        OR suppressions.phone_hash = (SELECT person_hash({phone}))
        OR suppressions.contact_hash = (SELECT person_hash({contact_id})))"""
