-- How often a firing was tried until it had its outcome.
ALTER TABLE trigger_history ADD COLUMN tries INTEGER NOT NULL DEFAULT 1 CHECK (tries >= 1);

-- The newest trigger of all when the push was stored: one with a larger number was made later,
-- whatever the clock says, which can be moved.
ALTER TABLE pushes ADD COLUMN newest_trigger INTEGER NOT NULL DEFAULT 0;

UPDATE pushes SET newest_trigger = coalesce(
    (SELECT id FROM triggers WHERE created_at <= pushes.pushed_at ORDER BY id DESC LIMIT 1), 0);
