//! The file of a snapshot: a tar archive with a list of its contents, the database, the blobs, and at
//! the end the digest of the list.
//!
//! A file that somebody else made is not trusted: an archive is read from its beginning to its end,
//! every part in its place, with its size and its digest, before anything in it is used. Links,
//! folders, other names and what follows the last part are refused.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::data_folder::private_file;

/// The form of archives that is written, and the newest that is read.
const FORMAT: u32 = 1;
/// The names of the parts.
const CONTENTS: &str = "snapshot.json";
const DATABASE: &str = "database";
const BLOBS: &str = "blobs";
const END: &str = "snapshot.sha256";
/// The largest list of contents, in bytes: enough for half a million blobs.
const MOST_CONTENTS: u64 = 64 * 1024 * 1024;
/// How many bytes are copied at once.
const CHUNK: usize = 128 * 1024;

/// Why a file cannot be used as a snapshot. Nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is something else.
    #[error("it is not a snapshot")]
    NotASnapshot,
    /// It comes from a later version of this program.
    #[error("it was saved by a newer swr-emulator ({0}); update the program")]
    Newer(String),
    /// It ends before its last part does.
    #[error("it is truncated: {0} is missing or incomplete")]
    Truncated(String),
    /// A part is not what was saved.
    #[error("it is damaged: {0} does not have its digest or size")]
    Damaged(String),
    /// There is something that no snapshot has.
    #[error("it has an unexpected entry {0:?}")]
    Unexpected(String),
    /// It is larger than snapshots may be here.
    #[error("it is larger than {0} bytes (--max-snapshot)")]
    TooLarge(u64),
    /// It cannot be read, or the disk does not take what is in it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a snapshot holds, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    format: u32,
    /// The version of the program that saved it.
    pub emulator: String,
    /// The number of the newest migration of its database.
    pub schema: i64,
    /// The regions of the instance, the home region first.
    pub regions: Vec<SavedRegion>,
    /// Accounts and users with their secrets, as a seed file.
    pub accounts: String,
    /// The database.
    pub database: Part,
    /// The files of its blobs, in the order in which they follow.
    pub blobs: Vec<Blob>,
}

/// A region of the instance that was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedRegion {
    pub name: String,
    /// On which port it listens by the seed file; none for the home region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The first name of its registry by the seed file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_host: Option<String>,
    /// All names under which images of its registry were known.
    pub registry_names: Vec<String>,
}

/// A part of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its SHA-256, 64 hex digits.
    pub sha256: String,
    /// How many bytes it has.
    pub size: u64,
}

/// A blob's file. A blob may have a digest of another kind, so the file has its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// The name of the file in the data folder, of letters, digits and hyphens.
    pub name: String,
    #[serde(flatten)]
    pub part: Part,
}

impl Blob {
    /// A name with anything else in it could lead to another folder.
    fn has_legal_name(&self) -> bool {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=100).contains(&self.name.len()) && self.name.bytes().all(legal)
    }

    fn entry(&self) -> String {
        format!("{BLOBS}/{}", self.name)
    }
}

impl Contents {
    /// What is saved now, by this version.
    pub fn new(
        schema: i64,
        regions: Vec<SavedRegion>,
        accounts: String,
        database: Part,
        blobs: Vec<Blob>,
    ) -> Self {
        Self {
            format: FORMAT,
            emulator: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            regions,
            accounts,
            database,
            blobs,
        }
    }

    /// Reads the first part of an archive. The form comes first: what a later one has is unknown.
    fn parse(text: &[u8]) -> Result<Self, ArchiveError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            emulator: String,
        }
        let head: Head = serde_json::from_slice(text).map_err(|_| ArchiveError::NotASnapshot)?;
        if head.format > FORMAT {
            return Err(ArchiveError::Newer(head.emulator));
        }
        let contents: Self =
            serde_json::from_slice(text).map_err(|_| ArchiveError::Damaged(CONTENTS.to_owned()))?;
        match contents.blobs.iter().find(|blob| !blob.has_legal_name()) {
            Some(blob) => Err(ArchiveError::Unexpected(blob.entry())),
            None => Ok(contents),
        }
    }
}

/// The size and the digest of a file.
pub fn measure(path: &Path) -> io::Result<Part> {
    let mut file = File::open(path)?;
    let (size, sha256) = copy(&mut file, &mut io::sink())?;
    Ok(Part { sha256, size })
}

/// Writes an archive, with the blobs' files from their folder.
pub fn write(contents: &Contents, database: &Path, blobs: &Path, to: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    let text = serde_json::to_vec(contents)?;
    append(&mut archive, CONTENTS, text.len() as u64, &text[..])?;
    let file = File::open(database)?;
    append(&mut archive, DATABASE, contents.database.size, file)?;
    for blob in &contents.blobs {
        let file = File::open(blobs.join(&blob.name))?;
        append(&mut archive, &blob.entry(), blob.part.size, file)?;
    }
    let end = hex::encode(Sha256::digest(&text));
    append(&mut archive, END, end.len() as u64, end.as_bytes())?;
    archive.into_inner()?.flush()
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    size: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o600);
    // One that became shorter would leave the archive without an end.
    let mut content = content.take(size);
    archive.append_data(&mut header, name, &mut content)?;
    if content.limit() > 0 {
        return Err(io::Error::other(format!("{name} has become shorter")));
    }
    Ok(())
}

/// The files of an archive, in a folder.
#[derive(Debug)]
pub struct Unpacked {
    pub contents: Contents,
    /// The database's file.
    pub database: PathBuf,
    /// The folder of the blobs' files.
    pub blobs: PathBuf,
}

/// Reads an archive of at most so many bytes into an empty folder, and checks all of it.
pub fn unpack(from: impl Read, most: u64, folder: &Path) -> Result<Unpacked, ArchiveError> {
    let bounded = Bounded {
        inner: from,
        rest: most,
        is_over: false,
    };
    let mut archive = tar::Archive::new(bounded);
    let unpacked = unpack_parts(&mut archive, folder);
    match unpacked {
        Err(_) if archive.into_inner().is_over => Err(ArchiveError::TooLarge(most)),
        unpacked => unpacked,
    }
}

/// Reads no further than the list of contents, of which nothing is checked yet.
pub fn read_contents(from: impl Read) -> Result<Contents, ArchiveError> {
    let mut archive = tar::Archive::new(from);
    let mut entries = archive.entries()?.raw(true);
    let text = read_first(&mut entries)?;
    Contents::parse(&text)
}

/// The text of the list of contents.
fn read_first<R: Read>(entries: &mut tar::Entries<'_, R>) -> Result<Vec<u8>, ArchiveError> {
    let first = entries.next().ok_or(ArchiveError::NotASnapshot)?;
    let first = first.map_err(|_| ArchiveError::NotASnapshot)?;
    if name(&first).as_deref() != Some(CONTENTS) || first.size() > MOST_CONTENTS {
        return Err(ArchiveError::NotASnapshot);
    }
    let mut text = Vec::new();
    let size = first.size();
    first.take(size).read_to_end(&mut text)?;
    if (text.len() as u64) < size {
        return Err(ArchiveError::Truncated(CONTENTS.to_owned()));
    }
    Ok(text)
}

fn unpack_parts(
    archive: &mut tar::Archive<impl Read>,
    folder: &Path,
) -> Result<Unpacked, ArchiveError> {
    // Raw: extended headers, which could rename an entry, are entries like others, and refused.
    let mut entries = archive.entries()?.raw(true);
    let text = read_first(&mut entries)?;
    let contents = Contents::parse(&text)?;

    let blobs = folder.join(BLOBS);
    std::fs::create_dir(&blobs)?;
    let database = folder.join(DATABASE);
    let files = contents
        .blobs
        .iter()
        .map(|blob| (blob.entry(), blobs.join(&blob.name), &blob.part));
    let end = hex::encode(Sha256::digest(&text));
    let end = Part {
        size: end.len() as u64,
        sha256: hex::encode(Sha256::digest(&end)),
    };
    let parts = std::iter::once((DATABASE.to_owned(), database.clone(), &contents.database))
        .chain(files)
        .chain([(END.to_owned(), folder.join(END), &end)]);
    for (entry, path, part) in parts {
        let truncated = || ArchiveError::Truncated(entry.clone());
        let mut found = match entries.next() {
            // Nothing, or a header that is cut off.
            None | Some(Err(_)) => return Err(truncated()),
            Some(Ok(found)) => found,
        };
        match name(&found) {
            Some(name) if name == entry => {}
            name => return Err(ArchiveError::Unexpected(name.unwrap_or_default())),
        }
        if found.size() != part.size {
            return Err(ArchiveError::Damaged(entry));
        }
        let mut file = private_file().write(true).create_new(true).open(&path)?;
        let (size, sha256) = copy(&mut found, &mut file)?;
        if size < part.size {
            return Err(truncated());
        }
        if sha256 != part.sha256 {
            return Err(ArchiveError::Damaged(entry));
        }
        file.sync_all()?;
    }
    match entries.next() {
        None => Ok(Unpacked {
            contents,
            database,
            blobs,
        }),
        Some(more) => {
            let name = more.ok().and_then(|more| name(&more));
            Err(ArchiveError::Unexpected(name.unwrap_or_default()))
        }
    }
}

/// The name of an entry that is a file.
fn name(entry: &tar::Entry<'_, impl Read>) -> Option<String> {
    let is_file = entry.header().entry_type() == tar::EntryType::Regular;
    let name = String::from_utf8(entry.path_bytes().into_owned()).ok()?;
    is_file.then_some(name)
}

/// Copies all that there is; its size and its SHA-256.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut size = 0;
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok((size, hex::encode(hash.finalize()))),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The archive ends within the entry.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(error),
        };
        if read == 0 {
            return Ok((size, hex::encode(hash.finalize())));
        }
        hash.update(&chunk[..read]);
        to.write_all(&chunk[..read])?;
        size += read as u64;
    }
}

/// Reads so many bytes and no more.
struct Bounded<R> {
    inner: R,
    rest: u64,
    is_over: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        // One byte more than there may be tells whether there is more.
        let most = usize::try_from(self.rest.saturating_add(1)).unwrap_or(usize::MAX);
        let room = to.len().min(most);
        let read = self.inner.read(&mut to[..room])?;
        match self.rest.checked_sub(read as u64) {
            Some(rest) => self.rest = rest,
            None => {
                self.is_over = true;
                return Err(io::Error::other("too large"));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOB: &[u8] = b"the content of a blob";

    /// A folder with a database and a blob, and an archive of them.
    fn saved() -> (tempfile::TempDir, Contents, Vec<u8>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = folder.path().join("db");
        std::fs::write(&database, [7; 5000]).expect("written");
        let blobs = folder.path().join("files");
        std::fs::create_dir(&blobs).expect("made");
        std::fs::write(blobs.join("swr-1-a"), BLOB).expect("written");
        let blob = Blob {
            name: "swr-1-a".to_owned(),
            part: measure(&blobs.join("swr-1-a")).expect("read"),
        };
        let contents = Contents::new(
            15,
            vec![SavedRegion {
                name: "r1".to_owned(),
                port: None,
                registry_host: None,
                registry_names: vec!["localhost".to_owned()],
            }],
            "accounts: []\n".to_owned(),
            measure(&database).expect("read"),
            vec![blob],
        );
        let mut archive = Vec::new();
        write(&contents, &database, &blobs, &mut archive).expect("written");
        (folder, contents, archive)
    }

    fn unpacked(archive: &[u8], most: u64) -> Result<Contents, ArchiveError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let unpacked = unpack(archive, most, folder.path())?;
        assert_eq!(std::fs::read(unpacked.database).expect("read"), [7; 5000]);
        assert_eq!(
            std::fs::read(unpacked.blobs.join("swr-1-a")).expect("read"),
            BLOB
        );
        Ok(unpacked.contents)
    }

    fn refusal(archive: &[u8]) -> String {
        let refused = unpacked(archive, u64::MAX);
        refused.expect_err("refused").to_string()
    }

    fn archive_of(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_entry_type(*kind);
            let bytes = header.as_ustar_mut().expect("ustar");
            bytes.name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, *content).expect("written");
        }
        archive.into_inner().expect("written")
    }

    #[test]
    fn what_was_saved_is_read_again() {
        let (_folder, contents, archive) = saved();
        assert_eq!(unpacked(&archive, u64::MAX).expect("read"), contents);
        assert_eq!(contents.emulator, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn an_archive_that_is_cut_off_anywhere_is_refused() {
        let (_folder, _, archive) = saved();
        // Two empty blocks are its end, without which nothing is missing.
        let end = archive.len() - 2 * 512;
        let end = (0..=end)
            .rev()
            .find(|at| archive[at - 1] != 0)
            .expect("a byte");
        for length in (0..end).step_by(37).chain([end - 1]) {
            let refused = refusal(&archive[..length]);
            assert!(
                refused.contains("truncated") || refused.contains("not a snapshot"),
                "{length}: {refused}"
            );
        }
    }

    #[test]
    fn a_changed_byte_is_found_in_every_part() {
        let (_folder, _, archive) = saved();
        let find = |part: &[u8]| {
            let mut windows = archive.windows(part.len());
            windows.position(|window| window == part).expect("there")
        };
        for (part, expected) in [
            (
                &[7; 5000][..],
                "it is damaged: database does not have its digest or size",
            ),
            (
                BLOB,
                "it is damaged: blobs/swr-1-a does not have its digest or size",
            ),
            (
                b"accounts: []",
                "it is damaged: snapshot.sha256 does not have its digest or size",
            ),
        ] {
            let mut changed = archive.clone();
            changed[find(part)] ^= 1;
            assert_eq!(refusal(&changed), expected);
        }
    }

    #[test]
    fn names_links_and_more_than_the_contents_name_are_refused() {
        use tar::EntryType::{Directory, GNULongName, Link, Regular, Symlink, XHeader};
        let (_folder, contents, _) = saved();
        let head = |contents: &Contents| serde_json::to_vec(contents).expect("JSON");
        let database = [7; 5000];
        let check = |entries: &[(&str, tar::EntryType, &[u8])], expected: &str| {
            assert_eq!(refusal(&archive_of(entries)), expected);
        };
        let text = head(&contents);
        let first = (CONTENTS, Regular, &text[..]);
        let second = (DATABASE, Regular, &database[..]);
        let third = ("blobs/swr-1-a", Regular, BLOB);
        let end = hex::encode(Sha256::digest(&text));
        let end = ("snapshot.sha256", Regular, end.as_bytes());
        assert!(unpacked(&archive_of(&[first, second, third, end]), u64::MAX).is_ok());
        check(&[], "it is not a snapshot");
        check(&[second], "it is not a snapshot");
        check(&[("snapshot.json", Regular, b"{}")], "it is not a snapshot");
        check(&[("snapshot.json", Symlink, b"{}")], "it is not a snapshot");
        let more = ("more", Regular, &b""[..]);
        check(
            &[first, second, third, end, more],
            "it has an unexpected entry \"more\"",
        );
        check(
            &[first, second, third],
            "it is truncated: snapshot.sha256 is missing or incomplete",
        );
        check(
            &[first, third, second],
            "it has an unexpected entry \"blobs/swr-1-a\"",
        );
        for kind in [Symlink, Link, Directory, XHeader, GNULongName] {
            let other = (DATABASE, kind, &database[..]);
            check(&[first, other, third], "it has an unexpected entry \"\"");
        }
        for name in ["../x", "/x", "a/b", "", ".", "é", "a b"] {
            let mut contents = contents.clone();
            name.clone_into(&mut contents.blobs[0].name);
            let text = head(&contents);
            let expected = format!("it has an unexpected entry {:?}", format!("blobs/{name}"));
            check(&[(CONTENTS, Regular, &text), second, third], &expected);
        }
    }

    #[test]
    fn a_later_form_and_too_many_bytes_are_refused() {
        let (_folder, _, archive) = saved();
        let text = br#"{"format":2,"emulator":"9.0.0","database":"else"}"#;
        let later = archive_of(&[(CONTENTS, tar::EntryType::Regular, text)]);
        let expected = "it was saved by a newer swr-emulator (9.0.0); update the program";
        assert_eq!(refusal(&later), expected);
        let refused = unpacked(&archive, 4000).expect_err("refused");
        assert!(matches!(refused, ArchiveError::TooLarge(4000)), "{refused}");
        assert!(unpacked(&archive, archive.len() as u64).is_ok());
    }
}
