//! Loading: a snapshot is unpacked and checked as a whole, and only then takes the place of what an
//! instance holds. It stays unpacked for as long as resets may go back to it.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;

use tempfile::TempDir;

use super::archive::{ArchiveError, Contents, Unpacked, unpack};
use super::spool::Spool;
use super::store::{self, Restore};
use crate::db::{Db, OpenError};
use crate::error::{Error, Result};
use crate::image::store::has_undescribed;
use crate::image::{Files, describe_stored};
use crate::region::Regions;

/// Why a snapshot cannot be loaded. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Its file is not whole, or not one.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// What is in it breaks a rule of snapshots.
    #[error("{0}")]
    Broken(String),
}

impl From<std::io::Error> for LoadError {
    fn from(error: std::io::Error) -> Self {
        Self::Archive(error.into())
    }
}

/// A snapshot that was read and checked. Its files go with this value.
#[derive(Debug)]
pub struct Snapshot {
    contents: Contents,
    database: PathBuf,
    blobs: PathBuf,
    _folder: TempDir,
}

impl Snapshot {
    /// Reads an archive of at most so many bytes, and checks all of it. A database of an earlier
    /// version is brought up to date.
    pub async fn read(
        from: impl Read + Send + 'static,
        most: u64,
        spool: &Spool,
    ) -> Result<Self, LoadError> {
        let folder = spool.folder()?;
        let unpack = move || {
            let unpacked = unpack(from, most, folder.path());
            unpacked.map(|unpacked| (folder, unpacked))
        };
        let unpacked = tokio::task::spawn_blocking(unpack).await;
        let (folder, unpacked) = unpacked.map_err(std::io::Error::other)??;
        let Unpacked {
            contents,
            database,
            blobs,
        } = unpacked;
        let broken = |reason: &str| LoadError::Broken(format!("its database {reason}"));
        match Db::open(&database).await {
            Ok(db) => {
                let described = describe(&db).await;
                db.close().await;
                described.map_err(|_| broken("cannot be brought up to date"))?;
            }
            Err(OpenError::Newer(..)) => return Err(ArchiveError::Newer(contents.emulator).into()),
            Err(_) => return Err(broken("is not one of an swr-emulator")),
        }
        match store::is_sound(&database).await {
            Ok(true) => {}
            Ok(false) => return Err(broken("is damaged")),
            Err(error) => return Err(broken(&format!("cannot be read: {}", error.chain()))),
        }
        Ok(Self {
            contents,
            database,
            blobs,
            _folder: folder,
        })
    }

    /// What it holds.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Puts it in the place of everything that is in a database but the counters of its numbers: no
    /// number is used twice, so whoever still works on something of before finds it gone. Images of
    /// workloads get the names that the registries have in `regions`, and tokens of the registry
    /// end.
    ///
    /// Returns the files of blobs that no row names any more.
    pub async fn restore(&self, db: &Db, files: &Files, regions: &Regions) -> Result<Vec<String>> {
        let blobs = &self.contents.blobs;
        let paths = blobs.iter().map(|blob| self.blobs.join(&blob.name));
        let mut stored = files.adopt(paths.collect()).await?;
        let names = blobs.iter().map(|blob| blob.name.clone());
        let restore = Restore {
            database: self.database.clone(),
            files: names
                .zip(
                    stored
                        .iter()
                        .map(|stored| (stored.name().to_owned(), stored.size())),
                )
                .collect(),
            images: self.renames(regions),
        };
        for stored in &mut stored {
            // Before the write: a commit that reports a failure may have reached the disk.
            stored.keep();
        }
        db.write(restore).await
    }

    /// The names of registries that another address took the place of, and what replaces each.
    fn renames(&self, regions: &Regions) -> HashMap<String, String> {
        let mut renames = HashMap::new();
        for saved in &self.contents.regions {
            let Some(region) = regions.get(&saved.name) else {
                continue;
            };
            let old = saved.registry_names.iter();
            let old = old.filter(|name| !region.registry_names.contains(name));
            renames.extend(old.map(|name| (name.clone(), region.registry_host.clone())));
        }
        renames
    }
}

/// Describes the manifests that an earlier version stored, as a start does.
async fn describe(db: &Db) -> Result<()> {
    if has_undescribed(db.lookups()).await? {
        describe_stored(db).await?;
    }
    Ok(())
}

/// A refusal for a client, which names the rule.
impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Archive(ArchiveError::TooLarge(most)) => {
                Self::BodyTooLarge(usize::try_from(most).unwrap_or(usize::MAX))
            }
            LoadError::Archive(ArchiveError::Io(error)) => Self::internal(error),
            error => Self::invalid("snapshot", error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::archive::{self, Blob, SavedRegion, measure};
    use super::*;
    use crate::db::open_copy;
    use crate::db::testing::TestDb;
    use crate::image::testing::files_in;

    /// A snapshot of a data folder of schema 8, or what a change of its database makes of it.
    async fn of_schema_8(change: &str) -> (tempfile::TempDir, Result<Snapshot, LoadError>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/folders/schema-8");
        let database = folder.path().join("old");
        std::fs::copy(old.join("swr-emulator.db"), &database).expect("copied");
        let mut connection = open_copy(&database).await.expect("opened");
        sqlx::raw_sql(sqlx::AssertSqlSafe(change.to_owned()))
            .execute(&mut connection)
            .await
            .expect("changed");
        sqlx::Connection::close(connection).await.expect("closed");
        let blobs = old.join("blobs");
        let names = std::fs::read_dir(&blobs).expect("there").map(|entry| {
            let name = entry.expect("read").file_name();
            name.into_string().expect("UTF-8")
        });
        let files = names.map(|name| Blob {
            part: measure(&blobs.join(&name)).expect("read"),
            name,
        });
        let region = SavedRegion {
            name: "cn-north-4".to_owned(),
            port: None,
            registry_host: None,
            registry_names: Vec::new(),
        };
        let part = measure(&database).expect("read");
        let contents = Contents::new(8, vec![region], String::new(), part, files.collect());
        let mut archive = Vec::new();
        archive::write(&contents, &database, &blobs, &mut archive).expect("written");
        let spool = Spool::of(folder.path());
        let read = Snapshot::read(std::io::Cursor::new(archive), u64::MAX, &spool).await;
        (folder, read)
    }

    #[tokio::test]
    async fn a_snapshot_of_an_older_schema_is_brought_up_to_date() {
        let (_folder, snapshot) = of_schema_8("").await;
        let test = TestDb::seeded("organizations: [{name: other}]").await;
        let files = files_in(test.folder.path());
        let snapshot = snapshot.expect("read");
        let unused = snapshot
            .restore(&test.db, &files, &Regions::default())
            .await;
        assert!(unused.expect("restored").is_empty());
        let tags: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM tags t JOIN manifests m
                 ON m.repository_id = t.repository_id AND m.digest = t.digest
             WHERE m.size IS NOT NULL",
        )
        .fetch_one(test.db.readers())
        .await
        .expect("read");
        assert_eq!(tags, 8);
        let blobs = std::fs::read_dir(test.folder.path().join("blobs")).expect("there");
        assert_eq!(blobs.count(), snapshot.contents().blobs.len());
    }

    #[tokio::test]
    async fn a_database_that_lies_about_its_age_or_is_not_sound_is_refused() {
        let check = async |change: &str, expected: &str| {
            let (folder, refused) = of_schema_8(change).await;
            let refused = refused.expect_err("refused").to_string();
            assert!(refused.starts_with(expected), "{refused}");
            let left = std::fs::read_dir(folder.path().join("snapshots")).expect("there");
            assert_eq!(left.count(), 0);
        };
        let newer = "UPDATE _sqlx_migrations SET version = 9999 WHERE version = 8";
        check(newer, "it was saved by a newer swr-emulator (0.1.0)").await;
        let foreign = "PRAGMA application_id = 1";
        check(foreign, "its database is not one of an swr-emulator").await;
        let orphans = "PRAGMA foreign_keys = OFF; UPDATE tags SET repository_id = 99";
        check(orphans, "its database is damaged").await;
    }
}
