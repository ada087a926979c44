//! The operations of the registry, as the log, `/_emulator/requests` and faults know them.

/// An operation of the registry.
#[derive(Debug, PartialEq, Eq)]
pub struct RegistryOperation {
    pub name: &'static str,
    /// What its requests name, in the words of `/_emulator/faults`: `namespace`, `repository`,
    /// `tag`, `digest`.
    pub names: &'static [&'static str],
    /// Whether the bytes of a blob go in or out.
    pub moves_bytes: bool,
}

const NOTHING: &[&str] = &[];
const REPOSITORY: &[&str] = &["namespace", "repository"];
const DIGEST: &[&str] = &["namespace", "repository", "digest"];
/// A tag or a digest.
const REFERENCE: &[&str] = &["namespace", "repository", "tag", "digest"];

impl RegistryOperation {
    pub(super) const BASE: Self = Self::new("Base", NOTHING);
    pub(super) const START_UPLOAD: Self = Self::new("StartUpload", DIGEST).moving_bytes();
    pub(super) const SHOW_UPLOAD: Self = Self::new("ShowUpload", REPOSITORY);
    pub(super) const APPEND_UPLOAD: Self = Self::new("AppendUpload", REPOSITORY).moving_bytes();
    pub(super) const FINISH_UPLOAD: Self = Self::new("FinishUpload", DIGEST).moving_bytes();
    pub(super) const CANCEL_UPLOAD: Self = Self::new("CancelUpload", REPOSITORY);
    pub(super) const GET_BLOB: Self = Self::new("GetBlob", DIGEST).moving_bytes();
    pub(super) const DELETE_BLOB: Self = Self::new("DeleteBlob", DIGEST);
    pub(super) const GET_MANIFEST: Self = Self::new("GetManifest", REFERENCE);
    pub(super) const PUT_MANIFEST: Self = Self::new("PutManifest", REFERENCE);
    pub(super) const DELETE_MANIFEST: Self = Self::new("DeleteManifest", REFERENCE);
    pub(super) const LIST_TAGS: Self = Self::new("ListTags", REPOSITORY);
    pub(super) const LIST_REFERRERS: Self = Self::new("ListReferrers", DIGEST);

    const fn new(name: &'static str, names: &'static [&'static str]) -> Self {
        Self {
            name,
            names,
            moves_bytes: false,
        }
    }

    const fn moving_bytes(self) -> Self {
        Self {
            moves_bytes: true,
            ..self
        }
    }
}

/// All of them.
pub static OPERATIONS: [RegistryOperation; 13] = [
    RegistryOperation::BASE,
    RegistryOperation::START_UPLOAD,
    RegistryOperation::SHOW_UPLOAD,
    RegistryOperation::APPEND_UPLOAD,
    RegistryOperation::FINISH_UPLOAD,
    RegistryOperation::CANCEL_UPLOAD,
    RegistryOperation::GET_BLOB,
    RegistryOperation::DELETE_BLOB,
    RegistryOperation::GET_MANIFEST,
    RegistryOperation::PUT_MANIFEST,
    RegistryOperation::DELETE_MANIFEST,
    RegistryOperation::LIST_TAGS,
    RegistryOperation::LIST_REFERRERS,
];
