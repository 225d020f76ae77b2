-- All embedded queues, distinguished by name. A dead letter is the same row with dead_at set: no receive sees it again.
-- Retention: acknowledged rows are deleted. Dead letters are left to the operator, and the oldest may be purged by dead_at.
CREATE TABLE queue_messages (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue         text NOT NULL,
    body          text NOT NULL,
    attributes    text,                -- a JSON object of strings; NULL if there are none
    sent_at       timestamptz NOT NULL,
    visible_at    timestamptz NOT NULL,
    receive_count integer NOT NULL DEFAULT 0,
    receipt       uuid,                -- of the latest delivery; an older one is stale
    dead_at       timestamptz,
    dead_reason   text
) WITH (
    -- The table is small and its rows live for seconds: vacuum by count, not by a share of the rows, and without pauses.
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX queue_messages_waiting ON queue_messages (queue, visible_at) WHERE dead_at IS NULL;
CREATE INDEX queue_messages_dead ON queue_messages (queue, dead_at) WHERE dead_at IS NOT NULL;

-- LZ4 if the server was built with it. Otherwise bodies are not compressed: for 20 KB, pglz costs a send more than
-- writing the bytes, and the row is deleted within seconds.
DO $$
BEGIN
    IF (SELECT 'lz4' = ANY (enumvals) FROM pg_settings WHERE name = 'default_toast_compression') THEN
        ALTER TABLE queue_messages ALTER COLUMN body SET COMPRESSION lz4;
    ELSE
        ALTER TABLE queue_messages ALTER COLUMN body SET STORAGE EXTERNAL;
    END IF;
END
$$;
