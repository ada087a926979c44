-- Images: blobs and the repositories they are visible in, manifests, tags, pushes, and what
-- logging in to the registry needs.

-- A blob is a file of the data folder. The file's name is random and stands only here, so that a
-- file whose row is gone can be removed while the same content is uploaded anew.
CREATE TABLE blobs (
    digest TEXT    PRIMARY KEY,
    file   TEXT    NOT NULL UNIQUE,
    size   INTEGER NOT NULL CHECK (size >= 0)
) STRICT;

-- A blob can be reached only through a repository that is linked to it. The lease, in seconds of
-- real time since 1970, keeps a link that no manifest uses yet.
CREATE TABLE repository_blobs (
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest        TEXT    NOT NULL REFERENCES blobs (digest),
    leased_until  INTEGER NOT NULL,
    PRIMARY KEY (repository_id, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX repository_blobs_by_digest ON repository_blobs (digest);

CREATE TABLE manifests (
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest        TEXT    NOT NULL,
    media_type    TEXT    NOT NULL,
    content       BLOB    NOT NULL,
    config        TEXT    NOT NULL, -- digest of the image's configuration; '' where there is none
    subject       TEXT,             -- digest of the manifest that this one is about
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (repository_id, digest)
) STRICT;

CREATE INDEX manifests_by_subject ON manifests (repository_id, subject);

-- The blobs that a manifest names.
CREATE TABLE manifest_blobs (
    repository_id INTEGER NOT NULL,
    manifest      TEXT    NOT NULL,
    digest        TEXT    NOT NULL,
    PRIMARY KEY (repository_id, manifest, digest),
    FOREIGN KEY (repository_id, manifest) REFERENCES manifests (repository_id, digest)
        ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX manifest_blobs_by_digest ON manifest_blobs (repository_id, digest);

CREATE TABLE tags (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    name          TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 128),
    digest        TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    UNIQUE (repository_id, name),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest)
        ON DELETE CASCADE
) STRICT;

CREATE INDEX tags_by_digest ON tags (repository_id, digest);

-- Each time that a tag was stored, newest 1,000.
CREATE TABLE pushes (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    tag           TEXT    NOT NULL,
    digest        TEXT    NOT NULL,
    pushed_by     TEXT    NOT NULL, -- the user's name
    pushed_at     INTEGER NOT NULL
) STRICT;

-- Temporary logins, by access key; the password only as its SHA-256.
CREATE TABLE temporary_logins (
    access_key    TEXT    PRIMARY KEY,
    password_hash BLOB    NOT NULL CHECK (length(password_hash) = 32),
    user_id       TEXT    NOT NULL,
    expires_at    INTEGER NOT NULL
) STRICT;

-- The key that signs the registry's tokens: one row, random, made with the folder.
CREATE TABLE signing_key (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    key BLOB    NOT NULL CHECK (length(key) = 32)
) STRICT;

INSERT INTO signing_key (id, key) VALUES (1, randomblob(32));
