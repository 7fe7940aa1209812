-- What several processes need, and what operators read. Only adds: the version before runs on it.
ALTER TABLE turns ADD COLUMN stopped_by TEXT NOT NULL DEFAULT '';
-- `<epoch seconds> <what> [<owner>];` for each change of the row
ALTER TABLE turns ADD COLUMN history TEXT NOT NULL DEFAULT '';
-- How many activities the reply has, and how many of them were shown.
ALTER TABLE turns ADD COLUMN parts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE turns ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;

-- The living: one row for each life of a process.
CREATE TABLE replicas (
    owner   TEXT PRIMARY KEY,
    beats   INTEGER NOT NULL DEFAULT 0,
    running INTEGER NOT NULL DEFAULT 0
);
-- Token buckets over all processes; `tat` is when the bucket will be full again (epoch seconds).
CREATE TABLE budgets (name TEXT PRIMARY KEY, tat REAL NOT NULL);
CREATE TABLE switches (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
