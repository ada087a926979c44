-- Organizations, repositories, triggers, clusters and issued tokens.
-- Moments are microseconds since 1970 (UTC). Ids are never used twice (AUTOINCREMENT), so that a
-- write that was decided for a row which is gone by then cannot hit another one.

-- Who owned something when it was made. Users and their secrets are never stored.
CREATE TABLE accounts (
    id   TEXT PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;

CREATE TABLE namespaces (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    region       TEXT    NOT NULL,
    name         TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    account_id   TEXT    NOT NULL REFERENCES accounts (id),
    creator_id   TEXT    NOT NULL,
    creator_name TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (region, name)
) STRICT;

CREATE INDEX namespaces_by_account ON namespaces (account_id, region);

CREATE TABLE repositories (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace_id INTEGER NOT NULL REFERENCES namespaces (id),
    name         TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
    is_public    INTEGER NOT NULL CHECK (is_public IN (0, 1)),
    category     TEXT    NOT NULL CHECK (category IN (
        'app_server', 'linux', 'framework_app', 'database', 'lang', 'other', 'windows', 'arm')),
    description  TEXT    NOT NULL CHECK (length(description) <= 30000),
    creator_id   TEXT    NOT NULL,
    creator_name TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    num_download INTEGER NOT NULL DEFAULT 0 CHECK (num_download >= 0),
    UNIQUE (namespace_id, name)
) STRICT;

CREATE TABLE triggers (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    name          TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    app_type      TEXT    NOT NULL CHECK (app_type IN ('deployments', 'statefulsets')),
    application   TEXT    NOT NULL CHECK (length(application) BETWEEN 1 AND 253),
    cluster_ns    TEXT    NOT NULL CHECK (length(cluster_ns) BETWEEN 1 AND 63),
    trigger_type  TEXT    NOT NULL CHECK (trigger_type IN ('all', 'tag', 'regular')),
    condition     TEXT    NOT NULL CHECK (condition <> ''),
    enabled       INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    trigger_mode  TEXT    NOT NULL CHECK (trigger_mode IN ('cce', 'cci')),
    cluster_id    TEXT    NOT NULL,
    cluster_name  TEXT    NOT NULL,
    container     TEXT    NOT NULL,
    creator_name  TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    UNIQUE (repository_id, name),
    CHECK (trigger_type <> 'all' OR condition = '.*'),
    CHECK (trigger_mode = 'cce' OR (cluster_id = '' AND cluster_name = ''))
) STRICT;

-- CCE clusters that the seed file names.
CREATE TABLE clusters (
    id   TEXT PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;

-- Tokens that IAM issued, by the SHA-256 of their text.
CREATE TABLE tokens (
    hash       BLOB    PRIMARY KEY CHECK (length(hash) = 32),
    user_id    TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX tokens_by_expiry ON tokens (expires_at);
