-- The turn table (docs/architecture.md, "A turn's states"). n is the order of acceptance; it is never reused.
CREATE TABLE turns (
    n          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,             -- deduplication: a repeated activity is ignored
    kind       TEXT NOT NULL,
    lane       TEXT NOT NULL,
    session    TEXT NOT NULL,                    -- the session key in the gateway, for operators
    state      TEXT NOT NULL,
    outcome    TEXT,
    owner      TEXT,                             -- the replica that claimed the row or, if queued, runs its lane
    fence      BIGINT NOT NULL DEFAULT 0,        -- counts claims; writes of an older claim are refused
    stop       INTEGER NOT NULL DEFAULT 0,
    stopped_by TEXT NOT NULL DEFAULT '',
    attempts   INTEGER NOT NULL DEFAULT 0,       -- failed deliveries
    again_of   BIGINT UNIQUE,                    -- asked again at most once
    payload    BYTEA,                            -- NULL once the text is no longer kept
    reply      BYTEA,
    parts      INTEGER NOT NULL DEFAULT 0,       -- activities of the reply, and the number of delivered parts (sent)
    sent       INTEGER NOT NULL DEFAULT 0,
    delivery   BYTEA,
    error      TEXT NOT NULL DEFAULT '',
    history    TEXT NOT NULL DEFAULT '',         -- `<epoch seconds> <change> [<owner>];` for each change
    accepted   DOUBLE PRECISION NOT NULL,
    closed     DOUBLE PRECISION
);

-- The database refuses a second claimed row in a lane, even if the bridge has a fault.
CREATE UNIQUE INDEX turns_one_at_a_time ON turns (lane) WHERE state IN ('running', 'answered');
-- Head and length of a lane, and all open turns.
CREATE INDEX turns_open ON turns (lane, n) WHERE state <> 'closed';
-- The last question of a lane, for /status.
CREATE INDEX turns_asked ON turns (lane, n) WHERE state = 'closed' AND kind = 'ask';
-- Closed turns with kept texts.
CREATE INDEX turns_with_text ON turns (closed) WHERE closed IS NOT NULL AND payload IS NOT NULL;
-- Open turns are few and change often: by default a table full of closed turns is vacuumed too rarely.
ALTER TABLE turns SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

-- The registered owners: a row for each replica that has joined.
CREATE TABLE replicas (
    owner   TEXT PRIMARY KEY,
    beats   BIGINT NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0
);
-- Token buckets over all processes; `tat` is when the bucket will be full again (epoch seconds).
CREATE TABLE budgets (name TEXT PRIMARY KEY, tat DOUBLE PRECISION NOT NULL);
CREATE TABLE switches (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
