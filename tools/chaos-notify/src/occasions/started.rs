//! An experiment is running.

use chaos_common::record::Occasion;

use super::announcement::{Announcement, Args};
use super::{Scene, Silence};
use crate::template::{Draft, Severity};

/// The notice.
///
/// # Errors
/// There is nothing that could have started.
pub(super) fn draft(scene: &Scene<'_>, args: &Args) -> Result<Draft, Silence> {
    let announcement = Announcement::of(scene, args)?;
    let mut draft = scene.draft(Occasion::Started, Severity::Info, announcement.start);
    announcement.write(scene, &mut draft);
    Ok(draft)
}
