//! Saving: a copy of the database as it is at one moment, the files of the blobs that it names, and
//! the accounts, which no database holds.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::io::Seek;

use tempfile::TempDir;

use super::archive::{Blob, Contents, SavedRegion, measure, write};
use super::spool::Spool;
use super::store;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::image::Files;
use crate::image::store::list_unnamed;

/// How often a copy is made anew because a blob that it names has gone since.
const TRIES: usize = 10;
/// The name of the copy of the database, which is none of a blob.
const DATABASE: &str = "database";

/// A snapshot, from its beginning. Its file has no name any more and goes with this value.
#[derive(Debug)]
pub struct Saved {
    pub file: File,
    /// How many bytes it has.
    pub size: u64,
}

/// Saves an instance with these regions, the home region first, and these accounts, as a seed file.
/// The instance may go on writing meanwhile.
pub async fn save(
    db: &Db,
    files: &Files,
    spool: &Spool,
    regions: Vec<SavedRegion>,
    accounts: String,
) -> Result<Saved> {
    let copy = copy(db, files, spool).await?;
    let put_together = move || -> io::Result<Saved> {
        let Copy {
            folder,
            schema,
            blobs,
        } = copy;
        let database = folder.path().join(DATABASE);
        let blobs = blobs.into_iter().map(|name| {
            let part = measure(&folder.path().join(&name))?;
            Ok(Blob { name, part })
        });
        let blobs = blobs.collect::<io::Result<_>>()?;
        let contents = Contents::new(schema, regions, accounts, measure(&database)?, blobs);
        let mut file = tempfile::tempfile_in(folder.path())?;
        write(
            &contents,
            &database,
            folder.path(),
            io::BufWriter::new(&file),
        )?;
        let size = file.stream_position()?;
        file.rewind()?;
        Ok(Saved { file, size })
    };
    let saved = tokio::task::spawn_blocking(put_together).await;
    saved.map_err(Error::internal)?.map_err(Error::internal)
}

/// The database of one moment with the files of its blobs.
struct Copy {
    folder: TempDir,
    /// The number of its newest migration.
    schema: i64,
    /// The names of the files.
    blobs: Vec<String>,
}

/// Makes one. Blobs can go between the copy of the database and the copies of their files; then
/// all of it is out of date.
async fn copy(db: &Db, files: &Files, spool: &Spool) -> Result<Copy> {
    for _ in 0..TRIES {
        let folder = spool.folder().map_err(Error::internal)?;
        let database = folder.path().join(DATABASE);
        db.copy_to(&database).await?;
        let (schema, names) = store::read_copy(&database).await?;
        let missing = files.lend(names.clone(), folder.path()).await?;
        let gone: HashSet<_> = list_unnamed(db.lookups(), &missing)
            .await?
            .into_iter()
            .collect();
        if gone.is_empty() {
            // Those that still have a name are damaged: their files are not there.
            let missing: HashSet<_> = missing.into_iter().collect();
            let blobs = names.into_iter().filter(|name| !missing.contains(name));
            return Ok(Copy {
                schema,
                blobs: blobs.collect(),
                folder,
            });
        }
    }
    Err(Error::Unavailable(
        "Images are removed faster than they can be saved",
    ))
}
