-- The id of the request that pushed a tag, so that the log lines of a firing and of its push are
-- found together. None where a sync brought the tag, and for pushes of earlier versions.
ALTER TABLE pushes ADD COLUMN request_id TEXT;
