//! Which load profile a measurement is made with.

use chaos_common::config::{LoadProfile, Performance, Span};
use chaos_common::exit::Failure;
use chaos_common::record::Baseline;
use clap::Args;

use super::load::LoadPlan;

/// Arguments that ask for load.
#[derive(Args, Clone, Debug, Default)]
pub struct LoadProfileArgs {
    /// Measure response times under this load, a profile of the configuration such as "normal"
    #[arg(long, value_name = "PROFILE")]
    load: Option<String>,
    /// Keep the load up so long, rather than as the profile says
    #[arg(long, value_name = "TIME", requires = "load")]
    duration: Option<Span>,
}

impl LoadProfileArgs {
    /// The load that is asked for.
    pub(crate) fn profile(&self, settings: &Performance) -> Result<Option<LoadProfile>, Failure> {
        let Some(name) = &self.load else {
            return Ok(None);
        };
        let mut profile = named(name, settings).ok_or_else(|| {
            let names: Vec<_> = settings
                .profiles
                .iter()
                .map(|profile| profile.name.as_str())
                .collect();
            Failure::usage(format!("there is no load profile {name:?}")).hint(format!(
                "[[performance.profile]] of the configuration defines: {}",
                names.join(", ")
            ))
        })?;
        profile.duration = self.duration.unwrap_or(profile.duration);
        LoadPlan::from_profile(&profile, Vec::new())
            .validate()
            .map_err(|why| Failure::usage(format!("load profile {name:?}: {why:#}")))?;
        Ok(Some(profile))
    }
}

fn named(name: &str, settings: &Performance) -> Option<LoadProfile> {
    settings
        .profiles
        .iter()
        .find(|profile| profile.name == name)
        .cloned()
}

/// The load of a baseline, for a verification that asks for none itself.
pub(crate) fn of_baseline(
    baseline: Option<&Baseline>,
    settings: &Performance,
) -> Option<LoadProfile> {
    let load = baseline?
        .timings
        .iter()
        .find_map(|timing| timing.load.as_ref())?;
    let mut profile = named(load.profile.as_deref()?, settings)?;
    profile.duration = Span::milliseconds(load.duration_ms);
    Some(profile)
}
