-- Retention: the rule of a repository, what it deleted, and the day on which all rules ran last.

CREATE TABLE retentions (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id INTEGER NOT NULL UNIQUE REFERENCES repositories (id) ON DELETE CASCADE,
    policy        TEXT    NOT NULL CHECK (json_valid(policy)) -- as the API writes it
) STRICT;

-- Each tag that a rule deleted, newest 1,000 of each repository. They outlive the rule, which is
-- why the rule's number refers to nothing.
CREATE TABLE retention_histories (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    retention_id  INTEGER NOT NULL,
    rule          TEXT    NOT NULL, -- as it was then
    tag           TEXT    NOT NULL,
    created_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX retention_histories_by_repository ON retention_histories (repository_id);

-- One row: the day, counted from 1970 (UTC), on which all rules ran last.
CREATE TABLE retention_day (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    day INTEGER NOT NULL
) STRICT;

INSERT INTO retention_day (id, day) VALUES (1, 0);
