-- Private repositories that other accounts may pull from.
CREATE TABLE shares (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    account_id    TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- As it was given; null is forever.
    deadline      INTEGER,
    -- The first moment of the day after the deadline's; null is never.
    ends_at       INTEGER,
    description   TEXT    NOT NULL CHECK (length(description) <= 1000),
    creator_id    TEXT    NOT NULL,
    creator_name  TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (repository_id, account_id)
) STRICT;

CREATE INDEX shares_by_account ON shares (account_id);
