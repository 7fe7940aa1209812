-- Columns for several processes, and for operators. Only adds: the previous version runs on the new schema.
ALTER TABLE turns ADD COLUMN stopped_by TEXT NOT NULL DEFAULT '';
-- `<epoch seconds> <change> [<owner>];` for each change of the row
ALTER TABLE turns ADD COLUMN history TEXT NOT NULL DEFAULT '';
-- Number of activities of the reply, and number of delivered parts (sent).
ALTER TABLE turns ADD COLUMN parts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;

-- The registered owners: a row for each replica that has joined.
CREATE TABLE replicas (
    owner   TEXT PRIMARY KEY,
    beats   INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0
);
-- Token buckets over all processes; `tat` is when the bucket will be full again (epoch seconds).
CREATE TABLE budgets (name TEXT PRIMARY KEY, tat REAL NOT NULL);
CREATE TABLE switches (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
