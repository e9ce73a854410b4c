//! `limit.watch`: whether somebody in the cluster takes back what is left behind, should the tool
//! and its guardian both die.

use std::collections::BTreeMap;

use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::Watch;
use chaos_common::record::{Check, Status};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::{Duration, Instant, sleep};

use crate::safety::active_runs::ActiveRuns;

const ID: &str = "limit.watch";
/// A watcher renews its Lease every second or two: one that does not within this time is not there.
const PATIENCE: Duration = Duration::from_secs(6);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
const HINT: &str = "chaos-inject watch, running in the cluster, takes back what killed runs left";

/// What the Leases of watchers say, by namespace.
type Renewals = BTreeMap<String, Option<MicroTime>>;

/// Judges by whether their Leases are renewed while we look.
pub async fn check(cluster: &Cluster, namespaces: &[String], watch: Watch) -> Check {
    match unwatched(cluster, namespaces).await {
        Ok(unwatched) => judge(&unwatched, watch),
        Err(error) if watch == Watch::Required => error.check(ID, ""),
        Err(error) => Check::new(ID, "", Status::Warn, error.to_string()),
    }
}

fn judge(unwatched: &[String], watch: Watch) -> Check {
    let Some(first) = unwatched.first() else {
        let message = "should the tool and its guardian both die, a watcher takes the fault back";
        return Check::pass(ID, "", message);
    };
    let message = format!(
        "nobody watches over namespace {first}: should the tool and its guardian both die, the \
         fault stays until somebody runs chaos-inject recover"
    );
    let status = match watch {
        Watch::Required => Status::Fail,
        Watch::Advised => Status::Warn,
    };
    Check::new(ID, format!("namespace/{first}"), status, message).hint(HINT)
}

/// The namespaces in which no watcher has renewed its Lease.
async fn unwatched(cluster: &Cluster, namespaces: &[String]) -> Result<Vec<String>, ReadError> {
    let end = Instant::now() + PATIENCE;
    let before = ActiveRuns::list(cluster, namespaces).await?.watches();
    loop {
        let missing = |now: &Renewals| -> Vec<String> {
            let is_renewed = |name: &String| {
                let now = now.get(name);
                now.is_some() && now != before.get(name)
            };
            let missing = namespaces.iter().filter(|name| !is_renewed(name));
            missing.cloned().collect()
        };
        let nobody = namespaces.iter().any(|name| !before.contains_key(name));
        if nobody {
            let watched = |name: &&String| !before.contains_key(*name);
            return Ok(namespaces.iter().filter(watched).cloned().collect());
        }
        sleep(LOOK).await;
        let now = ActiveRuns::list(cluster, namespaces).await?.watches();
        let missing = missing(&now);
        if missing.is_empty() || Instant::now() >= end {
            return Ok(missing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::presence;
    use crate::testing::ApiServer;

    async fn checked(server: &ApiServer, watch: Watch) -> Check {
        check(&server.cluster(), &["prod".to_owned()], watch).await
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_on_watch_is_a_warning_or_a_refusal_at_once() {
        let server = ApiServer::default();
        let start = Instant::now();
        let advised = checked(&server, Watch::Advised).await;
        assert_eq!(advised.status, Status::Warn);
        let required = checked(&server, Watch::Required).await;
        assert_eq!(required.status, Status::Fail);
        assert!(start.elapsed() < Duration::from_secs(1), "nobody waits");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_nobody_renews_is_no_watcher_whatever_time_it_holds() {
        let server = ApiServer::default();
        let renewed = presence::renew(&server.cluster(), "prod", "gone").await;
        renewed.expect("written");
        let check = checked(&server, Watch::Required).await;
        assert_eq!(check.status, Status::Fail, "{check:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_watcher_that_renews_its_lease_is_on_watch() {
        let server = ApiServer::default();
        let cluster = server.cluster();
        let renew = || presence::renew(&cluster, "prod", "here");
        renew().await.expect("written");
        let later = async {
            sleep(Duration::from_secs(2)).await;
            renew().await.expect("written");
        };
        let (check, ()) = tokio::join!(checked(&server, Watch::Required), later);
        assert_eq!(check.status, Status::Pass, "{check:?}");
    }
}
