//! Where a backup is, and the way to its bytes.

use std::io::Read;

use chaos_common::config::Backup;

use crate::check::Context;
use crate::item;
use crate::trouble::Trouble;

/// Opens a backup at its first byte.
pub(crate) fn open(backup: &Backup, _context: &Context) -> Result<Box<dyn Read + Send>, Trouble> {
    let found = item::find(&backup.path, Some(backup.kind)).map_err(|(_, why)| Trouble::CannotTell(why))?;
    Ok(Box::new(found.file))
}
