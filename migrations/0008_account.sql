-- What belongs to an account as a whole. A day is its number since 1970 (UTC, emulated time).

-- Accounts that have delegated CCE and CCI to SWR.
CREATE TABLE agencies (
    account_id TEXT PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL
) STRICT;

-- Bytes of blobs that were pulled from an account's repositories.
CREATE TABLE pulled_bytes (
    account_id TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    region     TEXT    NOT NULL,
    day        INTEGER NOT NULL,
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (account_id, region, day)
) STRICT, WITHOUT ROWID;

-- Bytes that an account stored at the end of a day. Only days before the last removal stand here:
-- what was stored since follows from what is still there.
CREATE TABLE stored_bytes (
    account_id TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    region     TEXT    NOT NULL,
    day        INTEGER NOT NULL,
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (account_id, region, day)
) STRICT, WITHOUT ROWID;
