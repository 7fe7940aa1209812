-- Edits, feedback and files. Only adds: the version before runs on it.
-- The message under which a turn shows progress: `stream:<id>` or `message:<id>`.
ALTER TABLE turns ADD COLUMN live TEXT NOT NULL DEFAULT '';
-- What a question's own message says since it was edited or merged, and since when; JSON.
ALTER TABLE turns ADD COLUMN edit BYTEA;
-- The turn that asks a merged one's words together with its own.
ALTER TABLE turns ADD COLUMN merged_into BIGINT;
CREATE INDEX turns_merged ON turns (merged_into) WHERE merged_into IS NOT NULL;
-- Changes that overtook their message, by the id that its turn will have: `stamp` by Teams' clock, `at` by ours.
CREATE TABLE edits (id TEXT PRIMARY KEY, text TEXT NOT NULL, stamp DOUBLE PRECISION NOT NULL, at DOUBLE PRECISION NOT NULL);
-- One for each person and turn; the last counts.
CREATE TABLE feedback (
    turn     BIGINT NOT NULL,
    person   TEXT NOT NULL,
    reaction TEXT NOT NULL,
    words    TEXT NOT NULL DEFAULT '',
    at       DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (turn, person)
);
CREATE INDEX feedback_in_time ON feedback (at, turn, person);
-- Files on their way to people: offered by consent, or behind a signed link until `expires`. The bytes stand last, so
-- that nobody who looks at the rest has to read past them.
CREATE TABLE files (
    id           TEXT PRIMARY KEY,
    turn         BIGINT NOT NULL,
    name         TEXT NOT NULL,
    type         TEXT NOT NULL,
    size         BIGINT NOT NULL,
    state        TEXT NOT NULL,
    conversation TEXT NOT NULL,
    person       TEXT NOT NULL,
    created      DOUBLE PRECISION NOT NULL,
    expires      DOUBLE PRECISION NOT NULL,
    content      BYTEA NOT NULL
);
