//! What load to make: where to, how fast, how long.

use std::time::Duration;

use anyhow::ensure;
use chaos_common::config::LoadProfile;

use super::counts::Counts;
use super::url::HttpUrl;

/// Windows of a measurement, at most: they bound the size of a record.
const WINDOWS: u32 = 60;
/// The shortest window.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);

/// The longest time of a plan.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Connections to each target, at most.
const MAX_CONNECTIONS: usize = 10_000;
/// Rates that the generator is made for, in requests a second to each target.
pub(crate) const RATES: std::ops::RangeInclusive<f64> = 0.001..=1e6;

/// How fast requests go out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// So many a second to each target.
    PerSecond(f64),
    /// As fast as the target answers.
    Max,
}

/// What load to make.
#[derive(Clone, Debug)]
pub(crate) struct LoadPlan {
    pub(crate) targets: Vec<HttpUrl>,
    pub(crate) rate: Rate,
    pub(crate) duration: Duration,
    /// Load before the load that counts.
    pub(crate) warm_up: Duration,
    /// Time that one request may take.
    pub(crate) timeout: Duration,
    /// Connections to each target from the start; the open loop opens more when it needs them.
    pub(crate) connections: usize,
    pub(crate) http2: bool,
}

impl LoadPlan {
    /// A profile of the configuration as a plan for these targets.
    pub(crate) fn from_profile(profile: &LoadProfile, targets: Vec<HttpUrl>) -> LoadPlan {
        LoadPlan {
            targets,
            rate: Rate::PerSecond(profile.rate),
            duration: profile.duration.0,
            warm_up: profile.warm_up.0,
            timeout: profile.timeout.0,
            connections: profile.connections,
            http2: profile.http2,
        }
    }

    /// Length of a window.
    pub(crate) fn window(&self) -> Duration {
        (self.duration / WINDOWS).max(SHORTEST_WINDOW)
    }

    /// Nothing counted yet, in as many windows as the duration has.
    pub(super) fn counts(&self) -> Counts {
        let windows = self.duration.as_nanos().div_ceil(self.window().as_nanos());
        Counts::new(self.window(), usize::try_from(windows).unwrap_or(1).max(1))
    }

    /// Whether such a load can be made.
    ///
    /// # Errors
    /// A figure is out of the range that the generator is made for.
    pub(crate) fn validate(&self) -> anyhow::Result<()> {
        in_range("duration", self.duration, Duration::from_millis(100))?;
        in_range("warm-up", self.warm_up, Duration::ZERO)?;
        in_range("time-out", self.timeout, Duration::from_millis(1))?;
        ensure!(
            (1..=MAX_CONNECTIONS).contains(&self.connections),
            "{} connections are too few or too many: 1 to {MAX_CONNECTIONS} to each URL",
            self.connections
        );
        if let Rate::PerSecond(rate) = self.rate {
            ensure!(
                RATES.contains(&rate),
                "a rate of {rate} requests a second is too low or too high"
            );
        }
        Ok(())
    }
}

fn in_range(name: &str, time: Duration, least: Duration) -> anyhow::Result<()> {
    ensure!(
        (least..=DAY).contains(&time),
        "a {name} of {} s is too short or too long for load",
        time.as_secs_f64()
    );
    Ok(())
}
