-- What comes of a firing once its cluster has taken the update.

-- `rollout` is the plan as it was put, a JSON object of {"outcome","after","message"}, null where
-- there is none. `revision` counts the pod templates that the workload had; `state` to `since` say
-- what became of the last one, and `due` is when the plan says that, null where it has.
ALTER TABLE workloads ADD COLUMN rollout  TEXT    CHECK (json_valid(rollout));
ALTER TABLE workloads ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE workloads ADD COLUMN state    TEXT    NOT NULL DEFAULT 'healthy'
    CHECK (state IN ('progressing', 'healthy', 'degraded', 'unknown'));
ALTER TABLE workloads ADD COLUMN reason   TEXT    NOT NULL DEFAULT '';
ALTER TABLE workloads ADD COLUMN message  TEXT    NOT NULL DEFAULT '';
ALTER TABLE workloads ADD COLUMN since    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workloads ADD COLUMN due      INTEGER;

UPDATE workloads SET since = unixepoch('now') * 1000000;

CREATE INDEX workloads_by_due ON workloads (due) WHERE due IS NOT NULL;

-- Pod templates of a simulated workload, the newest 100: `images` is a JSON object from the name of
-- a container to its image.
CREATE TABLE revisions (
    workload_id INTEGER NOT NULL REFERENCES workloads (id) ON DELETE CASCADE,
    revision    INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    images      TEXT    NOT NULL CHECK (json_valid(images)),
    state       TEXT    NOT NULL
        CHECK (state IN ('progressing', 'healthy', 'degraded', 'unknown')),
    PRIMARY KEY (workload_id, revision)
) STRICT, WITHOUT ROWID;

-- `cluster` is the id of the cluster that the firing chose, null where it chose none. The rollout
-- stands with the firing, since it outlives its workload. While it is progressing, it is that of a
-- revision of a simulated workload, or without `workload_id`, that of a generation at a real
-- cluster.
ALTER TABLE trigger_history ADD COLUMN cluster          TEXT;
ALTER TABLE trigger_history ADD COLUMN rollout_state    TEXT
    CHECK (rollout_state IN ('progressing', 'healthy', 'degraded', 'unknown'));
ALTER TABLE trigger_history ADD COLUMN rollout_reason   TEXT NOT NULL DEFAULT '';
ALTER TABLE trigger_history ADD COLUMN rollout_message  TEXT NOT NULL DEFAULT '';
ALTER TABLE trigger_history ADD COLUMN rollout_since    INTEGER;
ALTER TABLE trigger_history ADD COLUMN rollout_observed INTEGER;
ALTER TABLE trigger_history ADD COLUMN workload_id      INTEGER;
ALTER TABLE trigger_history ADD COLUMN revision         INTEGER;

CREATE INDEX trigger_history_progressing ON trigger_history (workload_id, revision)
    WHERE rollout_state = 'progressing';
