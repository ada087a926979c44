-- What a push sets off: firings that wait, their history, why others did not fire, and the
-- simulated workloads that firings update.

-- A trigger that a push fired and whose outcome is not recorded yet. It says all that it needs of
-- the push, so that old pushes can be forgotten.
CREATE TABLE firings (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    push_id    INTEGER NOT NULL,
    trigger_id INTEGER NOT NULL REFERENCES triggers (id) ON DELETE CASCADE,
    tag        TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    UNIQUE (push_id, trigger_id)
) STRICT;

CREATE INDEX firings_by_trigger ON firings (trigger_id);

-- What became of a firing, with the trigger as it was then. Newest 100 of each trigger.
CREATE TABLE trigger_history (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    trigger_id   INTEGER NOT NULL REFERENCES triggers (id) ON DELETE CASCADE,
    push_id      INTEGER NOT NULL,
    app_type     TEXT    NOT NULL,
    application  TEXT    NOT NULL,
    cluster_id   TEXT    NOT NULL,
    cluster_name TEXT    NOT NULL,
    cluster_ns   TEXT    NOT NULL,
    condition    TEXT    NOT NULL,
    container    TEXT    NOT NULL,
    creator_name TEXT    NOT NULL,
    tag          TEXT    NOT NULL,
    result       TEXT    NOT NULL CHECK (result IN ('success', 'failed')),
    detail       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (trigger_id, push_id)
) STRICT;

-- Why triggers of the repository did not fire at a push; at most 100 of a push.
CREATE TABLE passed_over (
    push_id      INTEGER NOT NULL REFERENCES pushes (id) ON DELETE CASCADE,
    trigger_name TEXT    NOT NULL,
    reason       TEXT    NOT NULL,
    PRIMARY KEY (push_id, trigger_name)
) STRICT, WITHOUT ROWID;

-- Deployments and StatefulSets of simulated clusters. Containers are JSON arrays of
-- {"name","image"}, annotations a JSON object.
CREATE TABLE workloads (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    cluster_id      TEXT    NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    namespace       TEXT    NOT NULL,
    kind            TEXT    NOT NULL CHECK (kind IN ('deployments', 'statefulsets')),
    name            TEXT    NOT NULL,
    containers      TEXT    NOT NULL CHECK (json_valid(containers)),
    init_containers TEXT    NOT NULL CHECK (json_valid(init_containers)),
    annotations     TEXT    NOT NULL CHECK (json_valid(annotations)),
    fail_status     INTEGER NOT NULL DEFAULT 0,
    fail_times      INTEGER NOT NULL DEFAULT 0 CHECK (fail_times >= 0),
    delay_ms        INTEGER NOT NULL DEFAULT 0 CHECK (delay_ms >= 0),
    UNIQUE (cluster_id, namespace, kind, name)
) STRICT;

-- Each change of a container's image by a firing.
CREATE TABLE rollouts (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    workload_id  INTEGER NOT NULL REFERENCES workloads (id) ON DELETE CASCADE,
    at           INTEGER NOT NULL,
    trigger_name TEXT    NOT NULL,
    tag          TEXT    NOT NULL,
    digest       TEXT    NOT NULL,
    container    TEXT    NOT NULL,
    before       TEXT    NOT NULL,
    after        TEXT    NOT NULL
) STRICT;

CREATE INDEX rollouts_by_workload ON rollouts (workload_id);
