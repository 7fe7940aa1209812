-- The statements of the turn table by name, for both databases. Each statement is complete in itself: conditions stand
-- in the WHERE clause, so no decision rests on a value that may have changed since it was read. `state <> 'closed'`
-- stands beside a narrower condition where SQLite would not use the index of open turns, but read the whole table,
-- without it. <now> is the database's expression for the time in epoch seconds.

-- name: accept
-- Without a limit the queue is not counted: thousands of greetings may wait in a lane, and each new greeting would read
-- all rows. No row is inserted if an edit of the message came before the message: the operation then uses the edit.
INSERT INTO turns (id, kind, lane, session, asker, state, owner, fence, again_of, payload, accepted, history)
SELECT :id, :kind, :lane, :session, :asker,
       CASE WHEN busy THEN 'queued' ELSE 'running' END,
       :owner,
       CASE WHEN busy THEN 0 ELSE 1 END,
       :again_of, :payload, :accepted,
       CASE WHEN busy THEN :queued ELSE :running END
FROM (SELECT :hold OR EXISTS (SELECT 1 FROM turns WHERE lane = :lane AND state <> 'closed') AS busy) AS lane_now
WHERE (:unlimited
       OR (SELECT count(*) FROM turns WHERE lane = :lane AND state <> 'closed' AND state = 'queued') < :room)
  AND (:anyway OR NOT EXISTS (SELECT 1 FROM edits WHERE id = :id))
ON CONFLICT DO NOTHING
RETURNING n, state;

-- name: known
SELECT n FROM turns WHERE id = :id OR again_of = :again_of;

-- name: head
SELECT * FROM turns
WHERE n = (SELECT min(n) FROM turns WHERE lane = :lane AND state <> 'closed') AND state = 'queued';

-- name: claim
-- The head of the lane only. A turn with a smaller number may become visible later, beside a claimed turn: hence the
-- second condition.
UPDATE turns SET state = 'running', owner = :owner, fence = fence + 1,
  history = CASE WHEN length(history) < 4000 THEN history || :step ELSE history END
WHERE n = (SELECT min(n) FROM turns WHERE lane = :lane AND state <> 'closed') AND state = 'queued'
  AND NOT EXISTS (SELECT 1 FROM turns WHERE lane = :lane AND state IN ('running', 'answered'))
RETURNING *;

-- name: queued_behind
SELECT * FROM turns WHERE lane = :lane AND state <> 'closed' AND state = 'queued' AND n > :n ORDER BY n LIMIT :limit;

-- name: merge_away
UPDATE turns SET state = 'closed', outcome = 'merged', merged_into = :into, closed = :at, history = history || :step
WHERE n = :n AND state IN ('queued', 'running') AND fence = :fence AND stop = 0
RETURNING n;

-- name: merge_members
-- The turns that were merged into turn :n move on with it.
UPDATE turns SET merged_into = :into WHERE merged_into = :n;

-- name: members
SELECT * FROM turns WHERE merged_into = :n ORDER BY n;

-- name: claim_merged
UPDATE turns SET state = 'running', owner = :owner, fence = fence + 1, payload = :payload, edit = :edit,
  live = :live, history = history || :step
WHERE n = :n AND state = 'queued' AND fence = :fence
RETURNING *;

-- name: release
UPDATE turns SET state = 'queued',
  history = CASE WHEN length(history) < 4000 THEN history || :step ELSE history END
WHERE n = :n AND owner = :owner AND fence = :fence AND state = 'running' AND stop = 0
RETURNING n;

-- name: record_answer
-- Repeating the statement changes no value: after a broken connection it is unknown whether it was executed.
UPDATE turns SET state = 'answered', reply = coalesce(reply, :reply),
  parts = CASE WHEN state = 'running' THEN :parts ELSE parts END,
  history = CASE WHEN state = 'running' THEN history || :step ELSE history END
WHERE n = :n AND owner = :owner AND fence = :fence
  AND (state = 'answered' OR state = 'running' AND (stop = 0 OR :anyway))
RETURNING n;

-- name: record_smaller_parts
UPDATE turns SET reply = :reply, parts = :parts
WHERE n = :n AND owner = :owner AND fence = :fence AND state = 'answered'
RETURNING n;

-- name: replace_payload
UPDATE turns SET payload = :payload
WHERE n = :n AND owner = :owner AND fence = :fence AND state = 'running'
RETURNING n;

-- name: record_delivered
UPDATE turns SET delivery = :delivery, sent = :sent
WHERE n = :n AND owner = :owner AND fence = :fence AND state = 'answered'
RETURNING n;

-- name: record_live_message
UPDATE turns SET live = :live WHERE n = :n AND owner = :owner AND fence = :fence AND state = 'running' RETURNING n;

-- name: count_attempt
UPDATE turns SET attempts = attempts + 1, history = history || :step
WHERE n = :n AND owner = :owner AND fence = :fence AND state = 'answered'
RETURNING attempts;

-- name: close_turn
UPDATE turns SET state = 'closed', outcome = :outcome, delivery = :delivery, sent = :sent, error = :error, closed = :at,
  history = history || :step
WHERE n = :n AND owner = :owner AND fence = :fence AND state IN ('running', 'answered')
RETURNING n;

-- name: running_in_lane
SELECT n FROM turns WHERE lane = :lane AND state IN ('running', 'answered');

-- name: stop_own
-- All that a person has asked in a conversation: waiting questions are closed, a claimed question is marked, unless only
-- the last part of the answer is left. A single statement, since a question may be claimed or released at any moment.
-- Rows of an earlier version have no asker and count as everybody's.
UPDATE turns SET <stopped>
WHERE lane = :lane AND state <> 'closed' AND kind = 'ask' AND asker IN (:asker, '')
  AND (state IN ('queued', 'running') OR state = 'answered' AND parts - sent > 1)
RETURNING *;

-- name: stop_running
UPDATE turns SET stop = CASE WHEN stop = 0 THEN 1 ELSE stop END, stopped_by = :by, history = history || :step
WHERE lane = :lane AND state <> 'closed' AND state = 'running' AND kind = 'ask' AND (:only = 0 OR n = :only)
RETURNING n;

-- name: stop_answered
-- Only if parts are left to drop; the last part of an answer cannot be stopped.
UPDATE turns SET stop = 1, stopped_by = :by, history = history || :step
WHERE lane = :lane AND state <> 'closed' AND state = 'answered' AND kind = 'ask' AND parts - sent > 1
  AND (:only = 0 OR n = :only)
RETURNING n;

-- name: remember_command
-- Keeps the id of a command that acted at once, so that a repeated command does nothing.
INSERT INTO turns (id, kind, lane, session, state, outcome, accepted, closed)
VALUES (:id, 'note', :lane, '', 'closed', 'delivered', :at, :at);

-- name: accept_withdrawn
INSERT INTO turns (id, kind, lane, session, state, outcome, again_of, payload, accepted, closed)
VALUES (:id, :kind, :lane, :session, 'closed', 'withdrawn', :again_of, :payload, :accepted, :accepted)
ON CONFLICT DO NOTHING
RETURNING n, state;

-- name: by_id
SELECT * FROM turns WHERE id = :id;

-- name: asked_again
SELECT * FROM turns WHERE again_of = :n;

-- name: set_edit
UPDATE turns SET edit = :edit WHERE n = :n RETURNING *;

-- name: edit_queued
-- The fence is raised, so that a concurrent merge of the row's old words is refused.
UPDATE turns SET payload = :payload, fence = fence + 1,
  history = CASE WHEN length(history) < 4000 THEN history || :step ELSE history END
WHERE n = :n AND state = 'queued' AND fence = :fence
RETURNING n;

-- name: withdraw
-- Refused by the fence if the turn was claimed since it was read: the claim may have merged further messages into the
-- turn, which must not be withdrawn.
UPDATE turns SET <withdrawn>
WHERE n = :n AND fence = :fence AND <may be withdrawn>
RETURNING n, state;

-- name: withdraw_all
-- Withdraws all open turns of a conversation. Reads all open turns, which are few; the statement is rare.
UPDATE turns SET <withdrawn>
WHERE state <> 'closed' AND <may be withdrawn>
  AND substr(id, 1, length(:conversation)) IN (:conversation, :threads)
RETURNING n, state;

-- name: keep_edit
-- At most 10,000 edits: in a group where the bot receives all messages, most deleted messages were not for the bot.
INSERT INTO edits (id, text, stamp, at)
SELECT :id, :text, :stamp, <now> WHERE (SELECT count(*) FROM edits) < 10000
ON CONFLICT (id) DO UPDATE SET text = excluded.text, stamp = excluded.stamp, at = excluded.at
WHERE edits.stamp <= excluded.stamp;

-- name: kept_edit
SELECT text, stamp FROM edits WHERE id = :id AND at > <now> - 3600;

-- name: forget_edits
DELETE FROM edits WHERE at <= <now> - 3600;

-- name: recently_closed
SELECT n, delivery FROM turns WHERE lane = :lane AND state = 'closed' AND kind = 'ask' ORDER BY n DESC LIMIT :limit;

-- name: rate
-- The words stay if the same person gives the same rating again without words: buttons and reactions are one rating.
INSERT INTO feedback (turn, person, reaction, words, at) VALUES (:turn, :person, :reaction, :words, :at)
ON CONFLICT (turn, person) DO UPDATE SET reaction = excluded.reaction, at = excluded.at,
  words = CASE WHEN excluded.words = '' AND feedback.reaction = excluded.reaction
               THEN feedback.words ELSE excluded.words END;

-- name: unrate
-- A rating with words stays when the person takes the reaction back.
DELETE FROM feedback WHERE turn = :turn AND person = :person AND reaction = :reaction AND words = '' RETURNING turn;

-- name: ratings
SELECT feedback.turn, person, reaction, words, at, coalesce(outcome, '') AS outcome, coalesce(session, '') AS session
FROM feedback LEFT JOIN turns ON turns.n = feedback.turn
WHERE (at, feedback.turn, person) > (:at, :turn, :person)
ORDER BY at, feedback.turn, person LIMIT :limit;

-- name: forget_ratings
DELETE FROM feedback WHERE at < :before;

-- name: drop
UPDATE turns SET state = 'closed', outcome = 'dropped', closed = :at, history = history || :closing
WHERE n = :n AND state IN ('queued', 'answered')
RETURNING n;

-- name: stop_this
UPDATE turns SET stop = 1, history = history || :step WHERE n = :n AND state = 'running' RETURNING n;

-- name: join
INSERT INTO replicas (owner) VALUES (:owner);

-- name: remove_owner
DELETE FROM replicas WHERE owner = :owner;

-- name: remove_all_owners
DELETE FROM replicas;

-- name: count_heartbeat
UPDATE replicas SET beats = beats + 1, running = :running WHERE owner = :owner RETURNING beats;

-- name: owners
SELECT owner, beats, running FROM replicas;

-- name: overview
SELECT (SELECT count(*) FROM turns WHERE state <> 'closed' AND state = 'queued' AND kind <> 'welcome') AS waiting,
       EXISTS (SELECT 1 FROM turns WHERE state <> 'closed'
               AND NOT EXISTS (SELECT 1 FROM replicas WHERE replicas.owner = turns.owner)) AS orphans,
       coalesce((SELECT value FROM switches WHERE name = 'paused'), 0) AS paused;

-- name: stops
SELECT n FROM turns WHERE state <> 'closed' AND state IN ('running', 'answered') AND owner = :owner AND stop <> 0;

-- name: serialise_takeovers
-- Takeovers run one at a time: of two that update the same orphan, the second would not check again whether the owner
-- is registered by then. The name of the switch is stored and stays.
INSERT INTO switches (name, value) VALUES ('adoptions', 1)
ON CONFLICT (name) DO UPDATE SET value = switches.value + 1;

-- name: take_over_claimed
UPDATE turns SET owner = :owner, fence = fence + 1, history = history || :step
WHERE state IN ('running', 'answered') AND owner <> :owner
  AND NOT EXISTS (SELECT 1 FROM replicas WHERE replicas.owner = turns.owner)
RETURNING *;

-- name: take_over_queued
-- Rows of the first version have no owner.
UPDATE turns SET owner = :owner
WHERE state <> 'closed' AND state = 'queued' AND coalesce(owner, '') <> :owner
  AND NOT EXISTS (SELECT 1 FROM replicas WHERE replicas.owner = turns.owner)
RETURNING lane;

-- name: own_before
-- Two columns only: the statement runs every second, also while thousands of answers wait for Teams to come back.
-- Rows accepted after :ahead were accepted before the clock was set back, and are old too; the same in waiting_lanes.
SELECT n, lane FROM turns
WHERE state IN ('running', 'answered') AND owner = :owner AND (accepted < :before OR accepted > :ahead);

-- name: waiting_lanes
SELECT DISTINCT lane FROM turns AS waiting
WHERE state <> 'closed' AND state = 'queued' AND owner = :owner AND (accepted < :before OR accepted > :ahead)
  AND NOT EXISTS (SELECT 1 FROM turns AS claimed
                  WHERE claimed.lane = waiting.lane AND claimed.state IN ('running', 'answered'));

-- name: find
SELECT * FROM turns WHERE n = :n;

-- name: list
SELECT <plain columns> FROM turns
WHERE n < :before
  AND (:state = '' OR state = :state)
  AND (:outcome = '' OR outcome = :outcome)
  AND (:kind = '' OR kind = :kind)
  AND (:user = '' OR substr(session, length(session) - length(:user)) = ':' || :user)
ORDER BY n DESC LIMIT :limit;

-- name: lane_open
SELECT n, state, accepted FROM turns WHERE lane = :lane AND state <> 'closed' ORDER BY n;

-- name: lane_last
SELECT max(n) AS n FROM turns WHERE lane = :lane AND state = 'closed' AND kind = 'ask';

-- name: open_budget
INSERT INTO budgets (name, tat) VALUES (:name, 0) ON CONFLICT DO NOTHING;

-- name: spend
-- The generic cell rate algorithm: `tat` moves on by an interval for each slot spent, at most a burst ahead of now. A
-- `tat` further ahead was written before the clock was set back, and counts as now: else no question would be asked for
-- as long as the jump. Five seconds more are no jump: a statement of PostgreSQL may wait so long for the row, and keeps
-- the time of its beginning. The millionths of a second are for rounding: epoch seconds as double are exact to 0.0000002.
UPDATE budgets SET tat = CASE WHEN tat > <now> AND tat <= <now> + :most + 5 THEN tat ELSE <now> END + :interval
WHERE name = :name
  AND CASE WHEN tat > <now> AND tat <= <now> + :most + 5 THEN tat ELSE <now> END + :interval - <now>
      <= :most + 0.000005
RETURNING tat;

-- name: budget_wait
SELECT tat + :interval - :most - <now> AS seconds FROM budgets WHERE name = :name;

-- name: refund
UPDATE budgets SET tat = tat - :interval WHERE name = :name;

-- name: exhaust
INSERT INTO budgets (name, tat) VALUES (:name, <now> + :most)
ON CONFLICT (name) DO UPDATE SET tat = excluded.tat;

-- name: switch
INSERT INTO switches (name, value) VALUES (:name, :value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: keep_creation
-- Minutes since the epoch: an INTEGER of PostgreSQL has no room for seconds after 2038.
INSERT INTO switches (name, value) VALUES ('created', :minutes) ON CONFLICT DO NOTHING;

-- name: creation
SELECT value FROM switches WHERE name = 'created';

-- name: blank
UPDATE turns SET payload = NULL, reply = NULL, edit = NULL, stopped_by = ''
WHERE n IN (SELECT n FROM turns WHERE closed < :before AND payload IS NOT NULL LIMIT 500)
RETURNING n;

-- name: delete
-- Reads the oldest 500 rows only: a scan of the whole table would hold up the traffic.
DELETE FROM turns
WHERE n IN (SELECT n FROM (SELECT n, closed FROM turns ORDER BY n LIMIT 500) AS oldest WHERE closed < :before)
RETURNING n;

-- name: keep_file
INSERT INTO files (id, turn, name, type, size, state, conversation, person, created, expires, content)
VALUES (:id, :turn, :name, :type, :size, :state, :conversation, :person, :created, :expires, :content)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: evict_files
-- The newest files stay.
DELETE FROM files
WHERE id IN (SELECT id FROM (SELECT id, sum(size) OVER (ORDER BY created DESC, id) AS total FROM files) AS sized
             WHERE total > :most);

-- name: find_file
SELECT * FROM files WHERE id = :id AND expires > :now;

-- name: finish_file
UPDATE files SET state = :state, content = :nothing, size = 0 WHERE id = :id AND state = 'offered' RETURNING id;

-- name: forget_files
DELETE FROM files WHERE created < :before OR expires <= :now RETURNING id;
