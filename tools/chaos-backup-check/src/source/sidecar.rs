//! The manifest beside a backup of this machine: `NAME.manifest.json`.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chaos_backup_check::formats::manifest::{MAX_FILE, Manifest};

use super::SourceError;

/// What is in the file of a manifest; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, SourceError> {
    // A FIFO would be waited for.
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err(SourceError::NotAFile),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let mut text = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Writes the manifest of a file of this machine beside it, whole or not at all.
pub(super) fn write(backup: &Path, text: &[u8]) -> io::Result<()> {
    let path = Manifest::name_for(backup);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".manifest-")
        .tempfile_in(folder)?;
    file.write_all(text)?;
    file.as_file().sync_all()?;
    // The one who may read the backup may read its manifest.
    let mode = std::fs::metadata(backup)?.permissions().mode() & 0o666;
    std::fs::set_permissions(file.path(), Permissions::from_mode(mode))?;
    file.persist(&path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}
