-- Every statement of the turn table, by name. Each is complete in itself: conditions are in the WHERE clause, so no
-- decision is taken on a value that may have changed since it was read. `state <> 'closed'` stands beside a narrower
-- condition where SQLite needs it to see that the index of open turns will do: without it, it reads the whole table.

-- name: accept
INSERT INTO turns (id, kind, lane, session, state, owner, fence, again_of, payload, accepted)
SELECT :id, :kind, :lane, :session,
       CASE WHEN busy THEN 'queued' ELSE 'running' END,
       CASE WHEN busy THEN NULL ELSE :owner END,
       CASE WHEN busy THEN 0 ELSE 1 END,
       :again_of, :payload, :accepted
FROM (SELECT :owner IS NULL OR EXISTS (SELECT 1 FROM turns WHERE lane = :lane AND state <> 'closed') AS busy)
WHERE true
ON CONFLICT DO NOTHING
RETURNING n, state;

-- name: claim
-- The head of the lane only: while it is running or answered, it is not queued, and nothing is claimed.
UPDATE turns SET state = 'running', owner = :owner, fence = fence + 1
WHERE n = (SELECT min(n) FROM turns WHERE lane = :lane AND state <> 'closed') AND state = 'queued'
RETURNING *;

-- name: release
UPDATE turns SET state = 'queued', owner = NULL
WHERE n = :n AND owner = :owner AND fence = :fence AND state = 'running' AND stop = 0
RETURNING n;

-- name: answer
UPDATE turns SET state = 'answered', reply = :reply
WHERE n = :n AND owner = :owner AND fence = :fence AND state = 'running' AND (stop = 0 OR :anyway)
RETURNING n;

-- name: shown
UPDATE turns SET delivery = :delivery
WHERE n = :n AND owner = :owner AND fence = :fence AND state = 'answered'
RETURNING n;

-- name: attempted
UPDATE turns SET attempts = attempts + 1
WHERE n = :n AND owner = :owner AND fence = :fence AND state = 'answered'
RETURNING attempts;

-- name: settle
UPDATE turns SET state = 'closed', outcome = :outcome, delivery = :delivery, error = :error, closed = :at
WHERE n = :n AND owner = :owner AND fence = :fence AND state IN ('running', 'answered')
RETURNING n;

-- name: known
SELECT n FROM turns WHERE id = :id;

-- name: stop_running
UPDATE turns SET stop = 1
WHERE lane = :lane AND state <> 'closed' AND state = 'running' AND kind = 'ask'
RETURNING n;

-- name: stop_answered
-- Only where parts are left to drop; the last part of an answer cannot be stopped.
UPDATE turns SET stop = 1
WHERE lane = :lane AND state <> 'closed' AND state = 'answered' AND kind = 'ask'
  AND json_array_length(CAST(reply AS TEXT), '$.activities')
    - coalesce(json_array_length(CAST(delivery AS TEXT)), 0) > 1
RETURNING n;

-- name: stop_queued
UPDATE turns SET state = 'closed', outcome = 'stopped', closed = :at
WHERE n = (SELECT min(n) FROM turns WHERE lane = :lane AND state <> 'closed') AND state = 'queued' AND kind = 'ask'
RETURNING n;

-- name: remember
-- A command that acted at once leaves its id, so that a repetition does nothing.
INSERT INTO turns (id, kind, lane, session, state, outcome, accepted, closed)
VALUES (:id, 'note', :lane, '', 'closed', 'delivered', :at, :at);

-- name: adopt
UPDATE turns SET owner = :owner, fence = fence + 1
WHERE state IN ('running', 'answered') AND owner <> :owner
RETURNING *;

-- name: own_before
-- Without the texts: this runs every second, also when thousands of answers wait for Teams to come back.
SELECT n, id, kind, lane, state, outcome, owner, fence, stop, attempts, again_of, NULL AS payload, NULL AS reply,
       NULL AS delivery, error, accepted, closed
FROM turns
WHERE state IN ('running', 'answered') AND owner = :owner AND accepted < :before;

-- name: waiting_lanes
SELECT DISTINCT lane FROM turns WHERE state <> 'closed' AND state = 'queued' AND accepted < :before;

-- name: find
SELECT * FROM turns WHERE n = :n;

-- name: lane_open
SELECT n, state, accepted FROM turns WHERE lane = :lane AND state <> 'closed' ORDER BY n;

-- name: lane_last
SELECT max(n) AS n FROM turns WHERE lane = :lane AND state = 'closed' AND kind = 'ask';

-- name: blank
UPDATE turns SET payload = NULL, reply = NULL
WHERE n IN (SELECT n FROM turns WHERE closed < :before AND payload IS NOT NULL LIMIT 500)
RETURNING n;

-- name: delete
-- Looks at the oldest rows only: a scan for what is not there would hold up the traffic.
DELETE FROM turns
WHERE n IN (SELECT n FROM (SELECT n, closed FROM turns ORDER BY n LIMIT 500) WHERE closed < :before)
RETURNING n;
