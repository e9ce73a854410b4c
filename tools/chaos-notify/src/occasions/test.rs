//! A harmless message, so that a team finds out before the night whether the channels work.

use chaos_common::record::Occasion;

use super::Scene;
use crate::template::{Draft, Severity};

pub(super) fn draft(scene: &Scene<'_>) -> Draft {
    scene.draft(Occasion::Test, Severity::Info, scene.now)
}
