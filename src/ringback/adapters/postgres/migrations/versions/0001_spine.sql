-- The spine: contacts, calls, tasks, attempts, what came in, what leaves, and why each decision fell.
-- Nothing newer than PostgreSQL 14.

CREATE TABLE installation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    instance text NOT NULL,
    paused_at timestamptz,
    pause_reason text,
    breaker_until timestamptz,
    breaker_reason text,
    breaker_trips integer NOT NULL DEFAULT 0,
    -- 244 random bits, without which a hash of a phone number says nothing.
    hash_key bytea NOT NULL
        DEFAULT decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
);

-- What is kept of a person who was erased: enough to recognise them if they come again, and nothing to read.
CREATE FUNCTION person_hash(phone_or_contact_id text) RETURNS text LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT encode(sha256(hash_key || sha256(hash_key || convert_to(phone_or_contact_id, 'UTF8'))), 'hex')
    FROM installation
$$;

CREATE TABLE api_keys (
    name text PRIMARY KEY,
    key_hash text NOT NULL UNIQUE,          -- sha256 of a random 256-bit key, so a plain hash is enough
    created_at timestamptz NOT NULL
);

CREATE TABLE contacts (
    contact_id text PRIMARY KEY,
    phone text NOT NULL,
    time_zone text,
    time_zone_source text CHECK (time_zone_source IN ('person', 'crm', 'guessed')),
    fields jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL
);
CREATE INDEX contacts_phone ON contacts (phone);

CREATE TABLE calls (
    call_id text PRIMARY KEY,
    contact_id text NOT NULL REFERENCES contacts,
    phone text NOT NULL,
    agent_id text NOT NULL,
    from_number text NOT NULL,
    variables jsonb NOT NULL,
    metadata jsonb NOT NULL,
    retry jsonb NOT NULL,
    accepted_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    expiry_is_explicit boolean NOT NULL,
    status text NOT NULL,
    final boolean NOT NULL DEFAULT false,
    sequence integer NOT NULL DEFAULT 0,
    budget_used integer NOT NULL DEFAULT 0,
    attempts_made integer NOT NULL DEFAULT 0,
    reschedules integer NOT NULL DEFAULT 0,
    no_more_retries text,
    closing_event_id text,
    idempotency_key text UNIQUE,
    request_hash text,
    response jsonb
);
CREATE INDEX calls_contact ON calls (contact_id, call_id);
CREATE INDEX calls_phone ON calls (phone);
CREATE INDEX calls_open_by_expiry ON calls (expires_at) WHERE NOT final;

CREATE TABLE tasks (
    task_id text PRIMARY KEY,
    call_id text NOT NULL REFERENCES calls,
    kind text NOT NULL CHECK (kind IN ('first', 'retry', 'callback')),
    due_at timestamptz NOT NULL,
    status text NOT NULL,
    dispatch integer NOT NULL DEFAULT 0,
    dispatched_at timestamptz,
    redispatches integer NOT NULL,
    local_time text,
    time_zone text,
    source text,
    reason text,
    from_attempt text,
    created_at timestamptz NOT NULL,
    due_before_hold timestamptz             -- set while status is held: due_at is then the end of the hold
);
CREATE UNIQUE INDEX tasks_one_open ON tasks (call_id) WHERE status IN ('pending', 'held', 'dispatched');
CREATE INDEX tasks_call ON tasks (call_id);
CREATE INDEX tasks_due ON tasks (due_at) WHERE status = 'pending';
CREATE INDEX tasks_held ON tasks (due_at) WHERE status = 'held';
CREATE INDEX tasks_dispatched ON tasks (dispatched_at) WHERE status = 'dispatched';

CREATE TABLE attempts (
    attempt_id text PRIMARY KEY,
    call_id text NOT NULL REFERENCES calls,
    contact_id text NOT NULL,
    phone text NOT NULL,
    number integer NOT NULL,
    task_id text NOT NULL REFERENCES tasks,
    request json NOT NULL,                  -- json, not jsonb: a resend must carry the very same text
    state text NOT NULL,
    fence integer NOT NULL,
    lease_until timestamptz,
    claimed_at timestamptz,
    sent_at timestamptz,
    placed_at timestamptz,
    resent boolean NOT NULL,
    waits integer NOT NULL,
    unknown_since timestamptz,
    lookups integer NOT NULL,
    clean_lookups integer NOT NULL,
    polls integer NOT NULL,
    next_check_at timestamptz,
    holds_person boolean NOT NULL,
    holds_slot boolean NOT NULL,
    provider_call_id text UNIQUE,
    voicemail_action text NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    duration_ms bigint,
    disconnection_reason text,
    connected boolean,
    dial text,
    party text,
    "end" text,
    business jsonb NOT NULL,
    cost_cents double precision,
    latency jsonb,
    recording_url text,
    transcript text,
    transcript_withheld boolean NOT NULL,
    agent_spoke boolean NOT NULL,
    user_turns integer,
    summary text,
    sentiment text,
    successful boolean,
    in_voicemail boolean,
    analysis jsonb,
    analysis_source text,
    initiated_event boolean NOT NULL,
    started_event boolean NOT NULL,
    verdict_type text,
    verdict_event_id text,
    verdict_digest text,
    revision integer NOT NULL
);
CREATE INDEX attempts_call ON attempts (call_id, number);
CREATE UNIQUE INDEX attempts_one_holds_the_person ON attempts (phone) WHERE holds_person;
CREATE INDEX attempts_slots ON attempts (attempt_id) WHERE holds_slot;
CREATE INDEX attempts_claimed ON attempts (claimed_at);
CREATE INDEX attempts_phone_sent ON attempts (phone, sent_at);
CREATE INDEX attempts_check ON attempts (next_check_at) WHERE next_check_at IS NOT NULL;

-- The inbox: one row per fact the provider told us, whatever the number of deliveries.
CREATE TABLE provider_events (
    provider_call_id text NOT NULL,
    event text NOT NULL,
    content_hash bytea NOT NULL,            -- sha256 of the content without event_timestamp
    received_at timestamptz NOT NULL,
    attempt_id text,
    call_id text,
    fate text NOT NULL,                     -- applied, foreign, inbound, unhandled
    body text,
    PRIMARY KEY (provider_call_id, event, content_hash)
);
CREATE INDEX provider_events_call ON provider_events (call_id) WHERE call_id IS NOT NULL;

-- Everything that leaves, leaves through here.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,                     -- call_message, abt_event, crm_fields, crm_note, stop_call
    message_id text NOT NULL UNIQUE,        -- deterministic: the same fact is written once
    order_key text,                         -- rows of one key leave one after the other
    call_id text,
    payload json NOT NULL,
    created_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    delivered_at timestamptz,
    dead_at timestamptz,
    last_error text,
    -- Ids are drawn before the commit, so an earlier id may appear later. Readers of the feed wait until every
    -- transaction before this one is over. A dump that is restored into another cluster must set it anew, to '3'.
    xact xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX outbox_feed ON outbox (xact, id) WHERE kind = 'abt_event';
CREATE INDEX outbox_dead ON outbox (dead_at, id) WHERE dead_at IS NOT NULL;
CREATE INDEX outbox_open ON outbox (kind, due_at) WHERE delivered_at IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_order ON outbox (order_key, id) WHERE delivered_at IS NULL AND dead_at IS NULL;
CREATE INDEX outbox_call ON outbox (call_id, id) WHERE call_id IS NOT NULL;

-- Why a call was, or was not, placed: every decision of the gate and every step of the protocol, with its inputs.
CREATE TABLE gate_decisions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    call_id text NOT NULL,
    attempt_id text,
    at timestamptz NOT NULL,
    kind text NOT NULL,
    detail jsonb NOT NULL
);
CREATE INDEX gate_decisions_call ON gate_decisions (call_id, id);

CREATE TABLE suppressions (
    suppression_id text PRIMARY KEY,
    phone text,
    contact_id text,
    reason text NOT NULL,
    source text NOT NULL,
    created_at timestamptz NOT NULL,
    lifted_at timestamptz,
    lifted_reason text,
    phone_hash text,                        -- of an erased person, whose phone and contact_id are NULL then
    contact_hash text,
    CHECK (num_nonnulls(phone, contact_id, phone_hash, contact_hash) > 0)
);
CREATE INDEX suppressions_phone_hash ON suppressions (phone_hash) WHERE phone_hash IS NOT NULL;
CREATE INDEX suppressions_contact_hash ON suppressions (contact_hash) WHERE contact_hash IS NOT NULL;
CREATE INDEX suppressions_phone ON suppressions (phone) WHERE lifted_at IS NULL;
CREATE INDEX suppressions_contact ON suppressions (contact_id) WHERE lifted_at IS NULL;

CREATE TABLE action_results (
    door text NOT NULL,
    key text NOT NULL,
    action text NOT NULL,
    request_hash text NOT NULL,
    call_id text,
    contact_id text,
    at timestamptz NOT NULL,
    reply jsonb NOT NULL,
    PRIMARY KEY (door, key)
);
CREATE INDEX action_results_call ON action_results (call_id) WHERE call_id IS NOT NULL;

CREATE TABLE dispositions (
    disposition_id text PRIMARY KEY,
    call_id text,
    attempt_id text,
    contact_id text NOT NULL,
    code text NOT NULL,
    note text,
    at timestamptz NOT NULL
);
CREATE INDEX dispositions_call ON dispositions (call_id);

CREATE TABLE notes (
    note_id text PRIMARY KEY,
    contact_id text NOT NULL REFERENCES contacts,
    call_id text,
    attempt_id text,
    author text NOT NULL,                   -- agent, api
    note text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX notes_contact ON notes (contact_id, at);

-- Every change of a contact's field, with what stood there before.
CREATE TABLE field_writes (
    write_id text NOT NULL,                 -- also the id under which it goes to the CRM
    field text NOT NULL,
    contact_id text NOT NULL REFERENCES contacts,
    call_id text,
    attempt_id text,
    source text NOT NULL,                   -- agent, api
    old_value jsonb,                        -- null: the field was not set
    new_value jsonb NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (write_id, field)
);
CREATE INDEX field_writes_contact ON field_writes (contact_id, at);

-- Calls from contacts to us; while one is under way the contact's tasks are held.
CREATE TABLE inbound_calls (
    inbound_id text PRIMARY KEY,
    provider_call_id text UNIQUE,           -- often unknown while it rings
    phone text NOT NULL,
    to_number text NOT NULL,
    contact_id text NOT NULL REFERENCES contacts,
    rang_at timestamptz NOT NULL,
    hold_until timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    duration_ms bigint,
    disconnection_reason text,
    released_at timestamptz                 -- from here on it holds nothing
);
CREATE INDEX inbound_calls_phone ON inbound_calls (phone) WHERE released_at IS NULL;
CREATE INDEX inbound_calls_contact ON inbound_calls (contact_id) WHERE released_at IS NULL;

-- For retention: the old end of each growing table, at a few bytes per thousand rows, as rows come in order of time.
CREATE INDEX outbox_age ON outbox USING brin (delivered_at);
CREATE INDEX gate_decisions_age ON gate_decisions USING brin (at);
CREATE INDEX provider_events_age ON provider_events USING brin (received_at);
CREATE INDEX action_results_age ON action_results USING brin (at);
CREATE INDEX dispositions_age ON dispositions USING brin (at);
CREATE INDEX calls_age ON calls USING brin (expires_at);
CREATE INDEX contacts_age ON contacts USING brin (updated_at);
