-- Edits, feedback and files. Only adds: the version before runs on it.
-- The message under which a turn shows progress: `stream:<id>` or `message:<id>`.
ALTER TABLE turns ADD COLUMN live TEXT NOT NULL DEFAULT '';
-- What a question's own message says since it was edited or merged, and since when; JSON.
ALTER TABLE turns ADD COLUMN edit BLOB;
-- The turn that asks a merged one's words together with its own.
ALTER TABLE turns ADD COLUMN merged_into INTEGER;
CREATE INDEX turns_merged ON turns (merged_into) WHERE merged_into IS NOT NULL;
-- Changes that overtook their message, by the id that its turn will have: `stamp` by Teams' clock, `at` by ours.
CREATE TABLE edits (id TEXT PRIMARY KEY, text TEXT NOT NULL, stamp REAL NOT NULL, at REAL NOT NULL);
-- One for each person and turn; the last counts.
CREATE TABLE feedback (
    turn     INTEGER NOT NULL,
    person   TEXT NOT NULL,
    reaction TEXT NOT NULL,
    words    TEXT NOT NULL DEFAULT '',
    at       REAL NOT NULL,
    PRIMARY KEY (turn, person)
);
CREATE INDEX feedback_in_time ON feedback (at, turn, person);
-- Files on their way to people: offered by consent, or behind a signed link until `expires`. The bytes stand last, so
-- that nobody who looks at the rest has to read past them.
CREATE TABLE files (
    id           TEXT PRIMARY KEY,
    turn         INTEGER NOT NULL,
    name         TEXT NOT NULL,
    type         TEXT NOT NULL,
    size         INTEGER NOT NULL,
    state        TEXT NOT NULL,
    conversation TEXT NOT NULL,
    person       TEXT NOT NULL,
    created      REAL NOT NULL,
    expires      REAL NOT NULL,
    content      BLOB NOT NULL
);
