//! What a status page says.

use serde::{Deserialize, Serialize};

/// A status for the status page. Its readers are the public: it tells nothing of the inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Page {
    /// An experiment is coming or running.
    Maintenance,
    /// It is over, and all is well.
    Operational,
    /// It is over, and it is not known that all is well.
    Degraded,
    /// The system is impaired.
    MajorOutage,
}

impl Page {
    /// The runbook's word for it.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Page::Maintenance => "maintenance",
            Page::Operational => "operational",
            Page::Degraded => "degraded",
            Page::MajorOutage => "major_outage",
        }
    }

    /// The sentence that the public reads.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Page::Maintenance => "Chaos Engineering Experiment in Progress",
            Page::Operational => {
                "Chaos Engineering Experiment is over; all systems are operational"
            }
            Page::Degraded => "Chaos Engineering Experiment is over; the system is being looked at",
            Page::MajorOutage => "The system is impaired; we are working on it",
        }
    }
}
