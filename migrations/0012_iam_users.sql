-- Users that were made by IAM's operations. Those of the seed file are in memory only.
CREATE TABLE iam_users (
    id              TEXT    PRIMARY KEY,
    account_id      TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name            TEXT    NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    enabled         INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    -- All three are null for who cannot log in with a password.
    password_salt   BLOB    CHECK (length(password_salt) = 16),
    password_hash   BLOB    CHECK (length(password_hash) = 32),
    password_rounds INTEGER CHECK (password_rounds > 0),
    pwd_status      INTEGER NOT NULL CHECK (pwd_status IN (0, 1)),
    -- Texts that are only shown; empty where nothing was said.
    email           TEXT    NOT NULL CHECK (length(email) <= 255),
    areacode        TEXT    NOT NULL CHECK (length(areacode) <= 8),
    phone           TEXT    NOT NULL CHECK (length(phone) <= 32),
    xuser_id        TEXT    NOT NULL CHECK (length(xuser_id) <= 128),
    xuser_type      TEXT    NOT NULL CHECK (length(xuser_type) <= 64),
    access_mode     TEXT    NOT NULL CHECK (access_mode IN ('default', 'programmatic', 'console')),
    description     TEXT    NOT NULL CHECK (length(description) <= 255),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    UNIQUE (account_id, name)
) STRICT;

-- What goes with a user, or has its name.
CREATE INDEX namespace_permissions_by_user ON namespace_permissions (user_id);
CREATE INDEX repository_permissions_by_user ON repository_permissions (user_id);
CREATE INDEX tokens_by_user ON tokens (user_id);
CREATE INDEX temporary_logins_by_user ON temporary_logins (user_id);
