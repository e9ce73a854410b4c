//! `chaos-verify baseline`: what the verification after the experiment compares with.

use chaos_common::cli::{ClusterArgs, Common};
use chaos_common::cluster::{ReadError, ReadErrorKind};
use chaos_common::config::LoadProfile;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Baseline, Check, ClusterRef, Verdict, summarize};
use chaos_common::stream::Stream;
use chaos_common::tool;
use chaos_health::checks;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::Api;

use crate::data;
use crate::performance::profile::LoadProfileArgs;
use crate::performance::{PerformanceReport, sequential, under_load};
use crate::target::{Connections, Target};

/// Takes the baseline and writes its record.
///
/// # Errors
/// Bad usage or configuration, or no way to the cluster; nothing was written then.
pub async fn run(
    load: &LoadProfileArgs,
    common: &Common,
    cluster: &ClusterArgs,
) -> Result<Exit, Failure> {
    let config = common.load()?.config;
    let profile = load.profile(&config.performance)?;
    let connections = Connections::open(config, cluster).await?;
    let mut stream = Stream::open(tool!(), common.output)?;
    let target = connections.target();
    let (mut baseline, interrupted) = take(&target, &stream.run, profile.as_ref()).await;
    baseline.checks.extend(stream.upstream.check());
    let verdict = Verdict::of(&baseline.checks);
    let summary = summarize(&baseline.checks);
    let own = PerformanceReport::exit(interrupted, verdict.into());
    Ok(stream.result(verdict, summary, baseline, own))
}

/// Takes the baseline. Never fails: what could not be taken is a check that is unknown. `run` keys
/// the digests.
/// The second value says that it was interrupted.
async fn take(target: &Target<'_>, run: &str, profile: Option<&LoadProfile>) -> (Baseline, bool) {
    let (cluster, visible) = locate(target).await;
    let mut baseline = Baseline {
        cluster,
        namespace: target.namespace.to_owned(),
        checks: Vec::new(),
        database: None,
        configuration: Vec::new(),
        answers: Vec::new(),
        timings: Vec::new(),
        usage: Vec::new(),
    };
    if let Err(check) = visible {
        baseline.checks.push(*check);
        return (baseline, false);
    }
    let data = data::take_baseline(target, run).await;
    // Times are taken last and alone, so that nothing else of ours is in them.
    let performance = match profile {
        Some(profile) => under_load::take_baseline(target, profile, run).await,
        None => sequential::take_baseline(target).await,
    };
    baseline.checks = data.checks;
    baseline.checks.extend(performance.checks);
    baseline.database = data.database;
    baseline.configuration = data.configuration;
    baseline.answers = data.answers;
    baseline.timings = performance.timings;
    baseline.usage = performance.usage;
    (baseline, performance.interrupted)
}

/// Which cluster this is, and whether the namespace is there: lists in one that is not are empty
/// and no error.
async fn locate(target: &Target<'_>) -> (ClusterRef, Result<(), Box<Check>>) {
    let cluster = match target.cluster.identity().await {
        Ok(cluster) => cluster,
        Err(error) => {
            let server = target.cluster.server.clone();
            let id = format!("server:{server}");
            let check = error.check(checks::CLUSTER_REACHABLE.id, server.clone());
            return (
                ClusterRef {
                    id,
                    context: target.cluster.context.clone(),
                    server,
                },
                Err(Box::new(check)),
            );
        }
    };
    let namespaces: Api<Namespace> = Api::all(target.cluster.client.clone());
    let what = format!("read namespace {}", target.namespace);
    let found = target
        .cluster
        .read(what, || namespaces.get_metadata(target.namespace))
        .await;
    (cluster, visible(target.namespace, found.map(drop)))
}

/// Whether the namespace is there. One that may not be read (forbidden, for one) may hold what is
/// readable all the same.
fn visible(namespace: &str, found: Result<(), ReadError>) -> Result<(), Box<Check>> {
    match found {
        Err(error) if error.kind == ReadErrorKind::NotFound => {
            let object = format!("namespace/{namespace}");
            let check = Check::unknown(
                checks::NAMESPACE_EXISTS.id,
                object,
                "there is no such namespace",
            );
            Err(Box::new(check.hint(
                "kubectl get namespaces lists them; name one with --namespace",
            )))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    fn refused(kind: ReadErrorKind) -> Result<(), ReadError> {
        let mut error = ReadError::other("read namespace shop", "no");
        error.kind = kind;
        Err(error)
    }

    #[test]
    fn a_namespace_that_is_not_there_is_not_visible() {
        let check = visible("shop", refused(ReadErrorKind::NotFound)).expect_err("not visible");
        assert_eq!(
            (check.status, check.id.as_str(), check.object.as_deref()),
            (Status::Unknown, "namespace.exists", Some("namespace/shop"))
        );
        assert!(check.hint.is_some());
    }

    #[test]
    fn a_namespace_that_is_there_or_may_not_be_read_is_looked_into() {
        assert_eq!(visible("shop", Ok(())), Ok(()));
        assert_eq!(visible("shop", refused(ReadErrorKind::Forbidden)), Ok(()));
    }
}
