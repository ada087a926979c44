-- Image sync: tasks that take what is pushed to another region, and the jobs that do it.

CREATE TABLE sync_tasks (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id    INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    remote_region    TEXT    NOT NULL,
    remote_namespace TEXT    NOT NULL CHECK (length(remote_namespace) BETWEEN 1 AND 64),
    sync_auto        INTEGER NOT NULL CHECK (sync_auto IN (0, 1)),
    overrides        INTEGER NOT NULL CHECK (overrides IN (0, 1)),
    operator_id      TEXT    NOT NULL, -- who made it
    operator_name    TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    UNIQUE (repository_id, remote_region, remote_namespace)
) STRICT;

-- A job says all that it needs of its task and its tag, so that both can change meanwhile. Newest
-- 1,000 of each repository, and all that have not ended.
CREATE TABLE sync_jobs (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id    INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    remote_region    TEXT    NOT NULL,
    remote_namespace TEXT    NOT NULL CHECK (length(remote_namespace) BETWEEN 1 AND 64),
    overrides        INTEGER NOT NULL CHECK (overrides IN (0, 1)),
    tag              TEXT    NOT NULL CHECK (length(tag) BETWEEN 1 AND 128),
    digest           TEXT,             -- what the tag was when the job was made; none without a tag
    status           TEXT    NOT NULL DEFAULT 'waiting'
        CHECK (status IN ('waiting', 'running', 'success', 'failed', 'existed')),
    operator_id      TEXT    NOT NULL,
    operator_name    TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL
) STRICT;

CREATE INDEX sync_jobs_by_repository ON sync_jobs (repository_id, id);
CREATE INDEX sync_jobs_open ON sync_jobs (id) WHERE status IN ('waiting', 'running');
