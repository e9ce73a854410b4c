//! The certificates in a file, which a configuration names to be trusted.

use std::io;
use std::path::{Path, PathBuf};

use reqwest::Certificate;

/// Why a file gives no certificates.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// It can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is none in it.
    #[error("{} holds no certificate in PEM", .0.display())]
    None(PathBuf),
}

/// The certificates in a PEM file: one at least.
///
/// # Errors
/// The file can't be read, or holds none.
pub fn in_file(path: &Path) -> Result<Vec<Certificate>, CertificatesError> {
    let pem = std::fs::read(path).map_err(|source| CertificatesError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if certificates.is_empty() {
        return Err(CertificatesError::None(path.to_owned()));
    }
    Ok(certificates)
}
