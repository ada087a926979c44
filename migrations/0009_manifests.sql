-- Lists show manifests without reading them. What they show stands in columns, written with the
-- manifest; its bytes have a table of their own, since SQLite has to pass over them to reach a
-- column that comes after them.

CREATE TABLE manifest_contents (
    repository_id INTEGER NOT NULL,
    digest        TEXT    NOT NULL,
    content       BLOB    NOT NULL,
    PRIMARY KEY (repository_id, digest),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest)
        ON DELETE CASCADE
) STRICT;

INSERT INTO manifest_contents (repository_id, digest, content)
SELECT repository_id, digest, content FROM manifests ORDER BY rowid;

ALTER TABLE manifests ADD COLUMN content_size INTEGER NOT NULL DEFAULT 0;
UPDATE manifests SET content_size = length(content);
ALTER TABLE manifests DROP COLUMN content;

-- How many bytes the image takes: manifest, configuration and layers, of all images of an index.
-- Null until the program has read a manifest that was stored before this schema.
ALTER TABLE manifests ADD COLUMN size INTEGER;
-- '' where there is none.
ALTER TABLE manifests ADD COLUMN artifact_type TEXT NOT NULL DEFAULT '';
-- A JSON object; null where there is none, or too large a one.
ALTER TABLE manifests ADD COLUMN annotations TEXT;

CREATE INDEX manifests_undescribed ON manifests (size) WHERE size IS NULL;

-- The manifests that an index lists.
CREATE TABLE manifest_parts (
    repository_id INTEGER NOT NULL,
    manifest      TEXT    NOT NULL,
    part          TEXT    NOT NULL,
    PRIMARY KEY (repository_id, manifest, part),
    FOREIGN KEY (repository_id, manifest) REFERENCES manifests (repository_id, digest)
        ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX manifest_parts_by_part ON manifest_parts (repository_id, part);

-- Pages of tags in the orders that lists offer; that by name is there already.
CREATE INDEX tags_by_repository ON tags (repository_id);
CREATE INDEX tags_by_update ON tags (repository_id, updated_at);
