//! The check itself: once, until the system is healthy, or again and again.

use std::time::Duration;

use chaos_common::config::{Config, Span};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Health, Verdict, summarize};
use chaos_common::stream::Stream;
use chaos_common::tool;
use chaos_health::checks::Explanation;
use tokio::time::{Instant, sleep};

use crate::args::Args;
use crate::namespaces::Namespaces;
use crate::watch;

/// Time between two looks while it waits.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks, and adds what it saw to the stream.
///
/// # Errors
/// The arguments or the configuration can't be used, or there is no way to a cluster.
pub(crate) async fn run(args: Args) -> Result<Exit, Failure> {
    let mut config = args.common.load()?.config;
    config.health.skip.extend(args.skip);
    config.probes.retain(|probe| probe.before);
    may_be_skipped(&config)?;
    let namespaces = Namespaces::connect(&args.namespaces, &config).await?;
    let deadline = args.deadline.0;
    if args.watch {
        return watch::watch(&namespaces, &config, deadline).await;
    }
    let open = match args.input {
        Some(_) => Stream::open,
        None => Stream::begin,
    };
    let mut stream = open(tool!(), args.common.output)?;
    let look = || namespaces.examine(&config, deadline);
    let mut health = match args.wait {
        Some(wait) => waited(look, wait, |text| stream.progress(text)).await,
        None => look().await,
    };
    health.checks.extend(stream.upstream.check());
    let verdict = Verdict::of(&health.checks);
    Ok(stream.result(verdict, summarize(&health.checks), health, verdict.into()))
}

/// Looks until the system is healthy or the time is over.
async fn waited<F>(look: impl Fn() -> F, wait: Span, say: impl Fn(&str)) -> Health
where
    F: Future<Output = Health>,
{
    let end = Instant::now() + wait.0;
    let mut said = String::new();
    loop {
        let health = look().await;
        let Some(worst) = health.checks.iter().find(|check| check.is_bad()) else {
            return health;
        };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return health;
        }
        let now = format!(
            "{} {}: {}",
            worst.id,
            worst.object.as_deref().unwrap_or_default(),
            worst.message
        );
        if now != said {
            say(&format!("waiting up to {wait}: {now}"));
            said = now;
        }
        sleep(PAUSE.min(left)).await;
    }
}

/// A check that is to be left out must exist, or somebody believes that it is left out.
fn may_be_skipped(config: &Config) -> Result<(), Failure> {
    for id in &config.health.skip {
        match Explanation::of(id) {
            Some(check) if check.may_be_skipped() => {}
            Some(_) => return Err(Failure::usage(format!("the check {id} can't be left out"))),
            None => {
                return Err(
                    Failure::usage(format!("there is no check {id:?} to leave out"))
                        .hint("chaos-health explain lists them"),
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_check_that_there_is_can_be_left_out() {
        let of = |id: &str| {
            let mut config = Config::default();
            config.health.skip.push(id.to_owned());
            may_be_skipped(&config).map_err(|failure| failure.exit)
        };
        assert_eq!(of("pods.usage"), Ok(()));
        assert_eq!(of("pods.useage"), Err(Exit::Usage));
        assert_eq!(of("cluster.reachable"), Err(Exit::Usage));
    }
}
