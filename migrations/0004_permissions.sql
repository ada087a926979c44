-- Who may do what: the rights that users were granted in organizations and repositories, in the
-- order of granting (id). 1 is read, 3 edit, 7 manage.

CREATE TABLE namespace_permissions (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace_id INTEGER NOT NULL REFERENCES namespaces (id) ON DELETE CASCADE,
    user_id      TEXT    NOT NULL,
    user_name    TEXT    NOT NULL,
    auth         INTEGER NOT NULL CHECK (auth IN (1, 3, 7)),
    UNIQUE (namespace_id, user_id)
) STRICT;

-- Whoever makes an organization manages it.
INSERT INTO namespace_permissions (namespace_id, user_id, user_name, auth)
SELECT id, creator_id, creator_name, 7 FROM namespaces ORDER BY id;

CREATE TABLE repository_permissions (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    user_id       TEXT    NOT NULL,
    user_name     TEXT    NOT NULL,
    auth          INTEGER NOT NULL CHECK (auth IN (1, 3, 7)),
    UNIQUE (repository_id, user_id)
) STRICT;
