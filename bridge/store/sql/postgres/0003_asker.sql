-- Who asked, and in which conversation: /stop ends a person's own questions. Only adds: the previous version runs on the
-- new schema. Empty in rows of earlier versions.
ALTER TABLE turns ADD COLUMN asker TEXT NOT NULL DEFAULT '';
