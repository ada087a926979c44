-- Files of blobs: which ones are ours, and which ones are not whole.

-- The name of each file that this database makes begins with the prefix, so that nothing else is
-- ever swept: not what others keep beside it, and not the files of another database that was
-- moved away and may come back. Asking for files that can go counts, since only a commit that
-- changes something takes the place of one that failed.
CREATE TABLE blob_files (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    prefix TEXT    NOT NULL,
    sweeps INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO blob_files (id, prefix) VALUES (1, 'swr-' || lower(hex(randomblob(8))) || '-');

-- A blob whose file was found missing, or of another size, is as if it were not there, until a
-- push brings the content again or a start finds the file whole.
ALTER TABLE blobs ADD COLUMN is_damaged INTEGER NOT NULL DEFAULT 0 CHECK (is_damaged IN (0, 1));
