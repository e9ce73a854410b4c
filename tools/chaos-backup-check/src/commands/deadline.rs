//! The end that a run is given.

use std::time::{Duration, Instant};

use chaos_common::config::Span;

/// When a run ends, and after how long that is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) end: Instant,
    pub(super) limit: Span,
}

impl Deadline {
    /// So long after `start`; none if there is no limit.
    pub(super) fn after(start: Instant, limit: Option<Span>) -> Option<Deadline> {
        let limit = limit?;
        let end = start.checked_add(limit.0)?;
        Some(Deadline { end, limit })
    }

    /// What is left of it.
    pub(super) fn left(self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}
