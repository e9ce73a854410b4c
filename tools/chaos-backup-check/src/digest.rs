//! SHA-256, as people compare it.

use sha2::Digest as _;
pub(crate) use sha2::Sha256;

/// The digest in hex.
pub(crate) fn hex(digest: Sha256) -> String {
    digest.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// The digest of some bytes in hex.
pub(crate) fn of(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}
