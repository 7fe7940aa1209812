-- Edits, feedback and files. Only adds: the version before runs on it.
-- The message under which a turn shows progress: `stream:<id>` or `message:<id>`.
ALTER TABLE turns ADD COLUMN live TEXT NOT NULL DEFAULT '';
-- The new text of a question that was edited after it had been asked; JSON.
ALTER TABLE turns ADD COLUMN edit BYTEA;
-- Edits that overtook their message, by the id that its turn will have.
CREATE TABLE edits (id TEXT PRIMARY KEY, text TEXT NOT NULL, at DOUBLE PRECISION NOT NULL);
-- One for each person and turn; the last counts.
CREATE TABLE feedback (
    turn     BIGINT NOT NULL,
    person   TEXT NOT NULL,
    reaction TEXT NOT NULL,
    words    TEXT NOT NULL DEFAULT '',
    at       DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (turn, person)
);
-- Files on their way to people: offered by consent, or behind a signed link until `expires`.
CREATE TABLE files (
    id      TEXT PRIMARY KEY,
    turn    BIGINT NOT NULL,
    name    TEXT NOT NULL,
    type    TEXT NOT NULL,
    content BYTEA NOT NULL,
    state   TEXT NOT NULL,
    payload BYTEA NOT NULL,
    created DOUBLE PRECISION NOT NULL,
    expires DOUBLE PRECISION NOT NULL
);
