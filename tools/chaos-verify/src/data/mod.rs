//! Does the application still hold what it held: database, configuration, answers, logs?

pub mod api;
mod configuration;
mod database;
mod logs;
mod redact;

use chaos_common::record::{ApiAnswer, Check, DatabaseState, LogErrors, ObjectDigest, Time};

use self::logs::Period;
use crate::pipeline_input::PipelineInput;
use crate::target::Target;

/// What was seen of the data, and the checks on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct DataReport {
    pub(crate) checks: Vec<Check>,
    pub(crate) database: Option<DatabaseState>,
    pub(crate) configuration: Vec<ObjectDigest>,
    pub(crate) answers: Vec<ApiAnswer>,
    pub(crate) log_errors: Vec<LogErrors>,
}

impl DataReport {
    /// Nothing was examined, and why.
    pub(crate) fn not_examined(why: &str) -> DataReport {
        DataReport {
            checks: vec![Check::unknown("data", "", format!("not looked at: {why}"))],
            ..DataReport::default()
        }
    }
}

/// Takes what a later verification compares with: all at the same time. `run` keys the digests.
pub(crate) async fn take_baseline(target: &Target<'_>, run: &str) -> DataReport {
    let (kinds, reading, responses) = futures::join!(
        configuration::read(target, run),
        database::read_configured(target, None),
        api::request_all(target, "baseline.answer"),
    );
    let mut checks = match (&target.config.database, &reading) {
        (Some(database), Some(reading)) => database::baseline(database, reading),
        _ => vec![no_database("baseline.database")],
    };
    checks.extend(configuration::baseline(&kinds));
    checks.extend(responses.iter().map(|response| response.check.clone()));
    if responses.is_empty() {
        checks.push(no_data_paths("baseline.answer"));
    }
    DataReport {
        checks,
        database: reading.and_then(Result::ok).map(|reading| reading.state),
        configuration: configuration::digests(kinds),
        answers: responses.into_iter().filter_map(|one| one.answer).collect(),
        log_errors: Vec::new(),
    }
}

/// Compares with the records from before: all at the same time. `run` keys the digests where there
/// is no baseline.
pub(crate) async fn verify(target: &Target<'_>, input: &PipelineInput, run: &str) -> DataReport {
    // The baseline's own run, should the stream hold several, for digests that compare.
    let key = input.baseline_run().unwrap_or(run);
    let baseline = input.baseline();
    let was = baseline.and_then(|baseline| baseline.database.as_ref());
    // Nodes write times into logs; records have those of the machine that the tools ran on.
    let clock = target.cluster.clock().await;
    let node_time = |time| clock.as_ref().map_or(time, |clock| clock.there(time));
    let quiet = target.config.limits.log_quiet.0;
    let period = Period::of(input, quiet, node_time);
    let now = || node_time(Time::now());
    let (kinds, reading, responses, (log_errors, log_checks)) = futures::join!(
        configuration::read(target, key),
        database::read_configured(target, was),
        api::request_all(target, "data.answer"),
        logs::search(target, period, &input.experiments, now),
    );
    let mut checks = match (&target.config.database, &reading) {
        (Some(database), Some(reading)) => database::compare(database, was, reading),
        _ => vec![no_database("data.database")],
    };
    let answers = baseline.map(|baseline| baseline.answers.as_slice());
    checks.extend(responses.iter().map(|one| api::compare(answers, one)));
    if responses.is_empty() {
        checks.push(no_data_paths("data.answer"));
    }
    checks.extend(log_checks);
    checks.extend(configuration::compare(
        baseline,
        &kinds,
        &target.config.configuration.ignore,
    ));
    DataReport {
        checks,
        database: reading.and_then(Result::ok).map(|reading| reading.state),
        configuration: configuration::digests(kinds),
        answers: responses.into_iter().filter_map(|one| one.answer).collect(),
        log_errors,
    }
}

fn no_database(id: &str) -> Check {
    Check::skipped(id, "", "no database is configured")
}

fn no_data_paths(id: &str) -> Check {
    Check::skipped(id, "", "no service is configured with data paths")
}
