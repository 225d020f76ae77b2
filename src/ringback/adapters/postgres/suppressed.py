"""Which suppressions cover a person, in the SQL of every statement that asks."""


def covering(phone: str, contact_id: str, hashes: str) -> str:
    """A condition over `suppressions`; the arguments are SQL expressions. An erased person's stand there as hashes, and
    `hashes` is an array of every form in which the phone and the contact id may stand there."""
    return f"""suppressions.lifted_at IS NULL AND (
        suppressions.phone = {phone} OR suppressions.contact_id = {contact_id}
        OR suppressions.phone_hash = ANY ({hashes}) OR suppressions.contact_hash = ANY ({hashes}))"""
