//! `chaos-verify baseline`: what the verification after the experiment compares with.

use chaos_common::cluster::{ReadError, ReadErrorKind};
use chaos_common::config::LoadProfile;
use chaos_common::record::{Baseline, Check, ClusterRef, DatabaseState};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;

use crate::site::Site;
use crate::{answers, configuration, database, speed, timing, usage};

/// Takes the baseline. Never fails: what could not be taken is a check that is unknown. `run` keys
/// the digests.
pub(crate) async fn take(site: &Site<'_>, run: &str, profile: Option<&LoadProfile>) -> Baseline {
    let (cluster, visible) = look(site).await;
    let mut baseline = Baseline {
        cluster,
        namespace: site.namespace.to_owned(),
        checks: Vec::new(),
        database: None,
        configuration: Vec::new(),
        answers: Vec::new(),
        timings: Vec::new(),
        usage: Vec::new(),
    };
    if let Err(check) = visible {
        baseline.checks.push(*check);
        return baseline;
    }
    let (kinds, reading, asked) = futures::join!(
        configuration::read(site, run),
        read_database(site, None),
        answers::ask_all(site, "baseline.answer"),
    );
    baseline
        .checks
        .extend(match (&site.config.database, &reading) {
            (Some(database), Some(reading)) => database::baseline(database, reading),
            _ => vec![Check::skipped(
                "baseline.database",
                "",
                "no database is configured",
            )],
        });
    baseline.database = reading.and_then(Result::ok).map(|reading| reading.state);
    baseline.checks.extend(configuration::baseline(&kinds));
    baseline.configuration = kinds
        .into_iter()
        .filter_map(|kind| kind.digests.ok())
        .flatten()
        .collect();
    baseline
        .checks
        .extend(asked.iter().map(|asked| asked.check.clone()));
    if asked.is_empty() {
        baseline.checks.push(Check::skipped(
            "baseline.answer",
            "",
            "no service is configured with data paths",
        ));
    }
    baseline.answers = asked.into_iter().filter_map(|asked| asked.answer).collect();
    // Times are taken last and alone, so that nothing else of ours is in them.
    if let Some(profile) = profile {
        let ((timings, checks), usage) = usage::during(
            site,
            profile,
            speed::measure(site, profile, run, "baseline.load"),
        )
        .await;
        baseline.checks.extend(checks);
        baseline.checks.extend(
            timings
                .iter()
                .map(|timing| speed::baseline(timing, &site.config.performance)),
        );
        if !timings.is_empty() {
            baseline.checks.push(usage::baseline(&usage));
            baseline.usage = usage.unwrap_or_default();
        }
        baseline.timings = timings;
        return baseline;
    }
    let measured = timing::measure_all(site).await;
    baseline
        .checks
        .extend(measured.iter().map(timing::baseline));
    if measured.is_empty() {
        baseline.checks.push(Check::skipped(
            "baseline.timing",
            "",
            "no service is configured with timed paths",
        ));
    }
    baseline.timings = measured
        .into_iter()
        .map(|measured| measured.timing)
        .collect();
    baseline
}

/// The configured database, if there is one, so that it compares with `before`.
pub(crate) async fn read_database(
    site: &Site<'_>,
    before: Option<&DatabaseState>,
) -> Option<Result<database::Reading, ReadError>> {
    match &site.config.database {
        Some(database) => Some(database::read(site, database, before).await),
        None => None,
    }
}

/// Which cluster this is, and whether the namespace is there: lists in one that is not are empty
/// and no error.
async fn look(site: &Site<'_>) -> (ClusterRef, Result<(), Box<Check>>) {
    let cluster = match site.cluster.identity().await {
        Ok(cluster) => cluster,
        Err(error) => {
            let server = site.cluster.server.clone();
            let id = format!("server:{server}");
            let check = error.check("cluster.reachable", server.clone());
            return (
                ClusterRef {
                    id,
                    context: site.cluster.context.clone(),
                    server,
                },
                Err(Box::new(check)),
            );
        }
    };
    let namespaces: Api<Namespace> = Api::all(site.cluster.client.clone());
    let what = format!("read namespace {}", site.namespace);
    let found = site
        .cluster
        .read(what, || namespaces.get_metadata(site.namespace))
        .await;
    let visible = match found {
        Err(error) if error.kind == ReadErrorKind::NotFound => {
            let object = format!("namespace/{}", site.namespace);
            let check = Check::unknown("namespace.exists", object, "there is no such namespace");
            Err(Box::new(check.hint(
                "kubectl get namespaces lists them; name one with --namespace",
            )))
        }
        // Forbidden, for one: what is in the namespace may be readable all the same.
        _ => Ok(()),
    };
    (cluster, visible)
}
