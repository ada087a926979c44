//! Digests, which name content.

use sha2::{Digest as _, Sha256, Sha512};

use super::error::ImageError;

/// `sha256:…` or `sha512:…` of some content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// Checks a digest's form.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_legal = match text.split_once(':') {
            Some(("sha256", hex)) => hex.len() == 64 && hex.bytes().all(is_hex),
            Some(("sha512", hex)) => hex.len() == 128 && hex.bytes().all(is_hex),
            _ => false,
        };
        if !is_legal {
            let rule = "a digest must be sha256: or sha512: followed by lower-case hex digits";
            return Err(ImageError::DigestInvalid(rule.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The digest of some bytes, in SHA-256.
    pub fn of(content: &[u8]) -> Self {
        Self(format!("sha256:{}", hex::encode(Sha256::digest(content))))
    }

    /// The digest of bytes that were hashed on their way.
    pub fn from_sha256(hash: Sha256) -> Self {
        Self(format!("sha256:{}", hex::encode(hash.finalize())))
    }

    /// The digest of bytes that were hashed on their way.
    pub fn from_sha512(hash: Sha512) -> Self {
        Self(format!("sha512:{}", hex::encode(hash.finalize())))
    }

    /// Whether it is the digest of some bytes.
    pub fn matches(&self, content: &[u8]) -> bool {
        if self.is_sha512() {
            *self == Self(format!("sha512:{}", hex::encode(Sha512::digest(content))))
        } else {
            *self == Self::of(content)
        }
    }

    /// Whether the algorithm is SHA-512.
    pub fn is_sha512(&self) -> bool {
        self.0.starts_with("sha512:")
    }

    /// The digest as text, with its algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hex digits alone.
    pub fn hex(&self) -> &str {
        &self.0[7..]
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_a_known_algorithm_and_its_length_of_lower_case_hex() {
        let check = |text: &str, accepted: bool| {
            assert_eq!(Digest::parse(text).is_ok(), accepted, "{text}");
        };
        check(&format!("sha256:{}", "a".repeat(64)), true);
        check(&format!("sha512:{}", "0".repeat(128)), true);
        check(&format!("sha256:{}", "A".repeat(64)), false);
        check(&format!("sha256:{}", "a".repeat(63)), false);
        check(&format!("sha256:{}", "g".repeat(64)), false);
        check(&format!("sha512:{}", "a".repeat(64)), false);
        check(&format!("md5:{}", "a".repeat(32)), false);
        check("sha256:", false);
        check("", false);
        assert!(Digest::of(b"x").matches(b"x"));
        assert!(!Digest::of(b"x").matches(b"y"));
    }
}
