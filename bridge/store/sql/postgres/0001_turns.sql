-- The turn table (docs/architecture.md, "A turn's states"). n is the order of acceptance; it is never reused.
CREATE TABLE turns (
    n          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,             -- dedupe: a repeated activity changes nothing
    kind       TEXT NOT NULL,
    lane       TEXT NOT NULL,
    session    TEXT NOT NULL,                    -- the session key in the gateway, for operators
    state      TEXT NOT NULL,
    outcome    TEXT,
    owner      TEXT,                             -- the life that claimed it or, while it is queued, looks after it
    fence      BIGINT NOT NULL DEFAULT 0,        -- counts claims; an older claim can write nothing
    stop       INTEGER NOT NULL DEFAULT 0,
    stopped_by TEXT NOT NULL DEFAULT '',
    attempts   INTEGER NOT NULL DEFAULT 0,       -- failed deliveries
    again_of   BIGINT UNIQUE,                    -- asked again at most once
    payload    BYTEA,                            -- NULL once the text is no longer kept
    reply      BYTEA,
    parts      INTEGER NOT NULL DEFAULT 0,       -- activities of the reply, and how many of them were shown
    sent       INTEGER NOT NULL DEFAULT 0,
    delivery   BYTEA,
    error      TEXT NOT NULL DEFAULT '',
    history    TEXT NOT NULL DEFAULT '',         -- `<epoch seconds> <what> [<owner>];` for each change of the row
    accepted   DOUBLE PRECISION NOT NULL,
    closed     DOUBLE PRECISION
);

-- One at a time: whatever else goes wrong, the database refuses a second claimed row in a lane.
CREATE UNIQUE INDEX turns_one_at_a_time ON turns (lane) WHERE state IN ('running', 'answered');
-- Head and length of a lane, and all that is open.
CREATE INDEX turns_open ON turns (lane, n) WHERE state <> 'closed';
-- The last question of a lane, for /status.
CREATE INDEX turns_asked ON turns (lane, n) WHERE state = 'closed' AND kind = 'ask';
-- Closed turns whose text is still kept.
CREATE INDEX turns_with_text ON turns (closed) WHERE closed IS NOT NULL AND payload IS NOT NULL;
-- Open turns are few and change often: without this, a table of closed ones would be vacuumed too rarely for them.
ALTER TABLE turns SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

-- The living: one row for each life of a process.
CREATE TABLE replicas (
    owner   TEXT PRIMARY KEY,
    beats   BIGINT NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0
);
-- Token buckets over all processes; `tat` is when the bucket will be full again (epoch seconds).
CREATE TABLE budgets (name TEXT PRIMARY KEY, tat DOUBLE PRECISION NOT NULL);
CREATE TABLE switches (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
