-- Edits, feedback and files. Only adds: the version before runs on it.
-- The message under which a turn shows progress: `stream:<id>` or `message:<id>`.
ALTER TABLE turns ADD COLUMN live TEXT NOT NULL DEFAULT '';
-- The new text of a question that was edited after it had been asked; JSON.
ALTER TABLE turns ADD COLUMN edit BLOB;
-- Edits that overtook their message, by the id that its turn will have.
CREATE TABLE edits (id TEXT PRIMARY KEY, text TEXT NOT NULL, at REAL NOT NULL);
-- One for each person and turn; the last counts.
CREATE TABLE feedback (
    turn     INTEGER NOT NULL,
    person   TEXT NOT NULL,
    reaction TEXT NOT NULL,
    words    TEXT NOT NULL DEFAULT '',
    at       REAL NOT NULL,
    PRIMARY KEY (turn, person)
);
-- Files on their way to people: offered by consent, or behind a signed link until `expires`.
CREATE TABLE files (
    id      TEXT PRIMARY KEY,
    turn    INTEGER NOT NULL,
    name    TEXT NOT NULL,
    type    TEXT NOT NULL,
    content BLOB NOT NULL,
    state   TEXT NOT NULL,
    payload BLOB NOT NULL,
    created REAL NOT NULL,
    expires REAL NOT NULL
);
