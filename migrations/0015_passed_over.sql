-- Why triggers did not fire at a push stands with the push, which writes and forgets it in one go: a
-- JSON array of [name of the trigger, reason] in the order of the names, of 100 at most.
ALTER TABLE pushes ADD COLUMN passed_over TEXT NOT NULL DEFAULT '[]';

UPDATE pushes SET passed_over = (
    SELECT json_group_array(json_array(trigger_name, reason))
    FROM (SELECT trigger_name, reason FROM passed_over
          WHERE push_id = pushes.id ORDER BY trigger_name));

DROP TABLE passed_over;

-- The entries of a trigger in their order, of which the oldest go.
CREATE INDEX trigger_history_by_trigger ON trigger_history (trigger_id, id);
