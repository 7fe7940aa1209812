-- The turn table (docs/architecture.md, "A turn's states"). n is the order of acceptance; it is never reused.
CREATE TABLE turns (
    n        INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL UNIQUE,             -- deduplication: a repeated activity is ignored
    kind     TEXT NOT NULL,
    lane     TEXT NOT NULL,
    session  TEXT NOT NULL,                    -- the session key in the gateway, for operators
    state    TEXT NOT NULL,
    outcome  TEXT,
    owner    TEXT,                             -- the replica that claimed the row
    fence    INTEGER NOT NULL DEFAULT 0,       -- counts claims; writes of an older claim are refused
    stop     INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,       -- failed deliveries
    again_of INTEGER UNIQUE,                   -- asked again at most once
    payload  BLOB,                             -- NULL once the text is no longer kept
    reply    BLOB,
    delivery BLOB,
    error    TEXT NOT NULL DEFAULT '',
    accepted REAL NOT NULL,
    closed   REAL
);

-- The database refuses a second claimed row in a lane, even if the bridge has a fault.
CREATE UNIQUE INDEX turns_one_at_a_time ON turns (lane) WHERE state IN ('running', 'answered');
-- Head and length of a lane, and all open turns.
CREATE INDEX turns_open ON turns (lane, n) WHERE state <> 'closed';
-- The last question of a lane, for /status.
CREATE INDEX turns_asked ON turns (lane, n) WHERE state = 'closed' AND kind = 'ask';
-- Closed turns with kept texts.
CREATE INDEX turns_with_text ON turns (closed) WHERE closed IS NOT NULL AND payload IS NOT NULL;
