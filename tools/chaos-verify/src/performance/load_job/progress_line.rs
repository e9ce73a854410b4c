//! How far the pods are, for a person at a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use chaos_common::config::LoadProfile;

/// A line that is written over again and again, and gone at the end. Without a terminal at stderr
/// there is none.
#[derive(Debug)]
pub(super) struct ProgressLine {
    shown: bool,
    whole: Duration,
    since: Option<Instant>,
}

impl ProgressLine {
    /// For a load of this profile.
    pub(super) fn new(profile: &LoadProfile) -> ProgressLine {
        ProgressLine {
            shown: std::io::stderr().is_terminal(),
            whole: profile.warm_up.0 + profile.duration.0,
            since: None,
        }
    }

    /// So many of the wanted pods have started.
    pub(super) fn show(&mut self, started: usize, wanted: usize) {
        if started == wanted {
            self.since.get_or_insert_with(Instant::now);
        }
        if self.shown {
            let ran = self.since.map(|since| since.elapsed());
            let text = text((started, wanted), ran, self.whole);
            // Nobody may be listening on stderr.
            let _ = write!(std::io::stderr(), "\r{text}\x1b[K");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn text((started, wanted): (usize, usize), ran: Option<Duration>, whole: Duration) -> String {
    match ran {
        None => format!("load in the cluster: {started} of {wanted} pods have started"),
        Some(ran) => format!(
            "load in the cluster: {wanted} pods, {} of {} s",
            ran.min(whole).as_secs(),
            whole.as_secs_f64().ceil()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_of_pods_first_and_of_time_then() {
        let whole = Duration::from_secs(65);
        let before = text((1, 2), None, whole);
        assert_eq!(before, "load in the cluster: 1 of 2 pods have started");
        let during = text((2, 2), Some(Duration::from_millis(12_400)), whole);
        assert_eq!(during, "load in the cluster: 2 pods, 12 of 65 s");
        let late = text((2, 2), Some(Duration::from_secs(80)), whole);
        assert_eq!(late, "load in the cluster: 2 pods, 65 of 65 s");
    }
}
