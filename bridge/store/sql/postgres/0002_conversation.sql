-- Edits, feedback and files. Only adds: the previous version runs on the new schema.
-- The message under which a turn shows progress: `stream:<id>` or `message:<id>`.
ALTER TABLE turns ADD COLUMN live TEXT NOT NULL DEFAULT '';
-- The words of the question's own message since an edit or a merge, and the time of the edit; JSON.
ALTER TABLE turns ADD COLUMN edit BYTEA;
-- The turn into which the turn was merged.
ALTER TABLE turns ADD COLUMN merged_into BIGINT;
CREATE INDEX turns_merged ON turns (merged_into) WHERE merged_into IS NOT NULL;
-- Edits that came before the message, by the id of the future turn: `stamp` by Teams' clock, `at` by the database's.
CREATE TABLE edits (id TEXT PRIMARY KEY, text TEXT NOT NULL, stamp DOUBLE PRECISION NOT NULL, at DOUBLE PRECISION NOT NULL);
-- A rating for each person and turn; the last rating counts.
CREATE TABLE feedback (
    turn     BIGINT NOT NULL,
    person   TEXT NOT NULL,
    reaction TEXT NOT NULL,
    words    TEXT NOT NULL DEFAULT '',
    at       DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (turn, person)
);
CREATE INDEX feedback_in_time ON feedback (at, turn, person);
-- Files on their way to people: offered by consent, or behind a signed link until `expires`. The bytes are the
-- last column, so that reading the columns before skips them.
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
