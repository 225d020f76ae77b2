-- An erased person stays erased, and the key to the hashes of erased people is outside the database.

-- Tombstones: what late evidence about an erased person may name. sha256 of an attempt's, a call's, a provider call's or
-- an inbound call's id. These ids are random, so a plain hash of one cannot be turned back.
CREATE TABLE erased (
    mark bytea PRIMARY KEY,
    erased_at timestamptz NOT NULL
);
CREATE INDEX erased_age ON erased USING brin (erased_at);

-- The keys under which erased people were hashed; a key id is a hash of the key, which is not here.
CREATE TABLE erasure_keys (
    generation integer PRIMARY KEY,
    key_id text NOT NULL UNIQUE,
    since timestamptz NOT NULL
);

-- An event that was still to leave when its person was erased. The row is deleted when it has left.
ALTER TABLE outbox ADD COLUMN erased boolean NOT NULL DEFAULT false;
CREATE INDEX outbox_erased ON outbox (id) WHERE erased;

-- Those who were erased under an earlier version.
INSERT INTO erased (mark, erased_at)
SELECT sha256(convert_to(id, 'UTF8')), clock_timestamp()
FROM (SELECT attempt_id FROM attempts WHERE phone = 'erased' UNION SELECT call_id FROM calls WHERE phone = 'erased')
     AS known (id);

-- Processes of the earlier version ask this function whether an erased person must not be called. Once a hash is keyed
-- outside the database it cannot tell, so such a process must call nobody.
CREATE OR REPLACE FUNCTION person_hash(phone_or_contact_id text) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF EXISTS (SELECT FROM erasure_keys) THEN
        RAISE EXCEPTION 'RINGBACK_ERASURE_KEY is in use, and this process is of a version before it';
    END IF;
    RETURN (SELECT encode(sha256(hash_key || sha256(hash_key || convert_to(phone_or_contact_id, 'UTF8'))), 'hex')
            FROM installation);
END
$$;
