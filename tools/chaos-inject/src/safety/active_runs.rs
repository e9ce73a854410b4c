//! The runs that hold something in the cluster: which there are, which of them live, and how one is
//! asked to stop.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind};
use chaos_common::record::{HeldRun, Lock, Plan, Time};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::safety::intent::Intent;
use crate::safety::leases::{
    self, ABORT_ANNOTATION, Attribution, EXPIRY, INTENT_ANNOTATION, annotation, describe_holder,
    lease_run,
};
use crate::safety::lock;
use crate::safety::presence;

/// Between two looks at whether the runs live.
const LOOK: Duration = Duration::from_millis(250);

/// What the Leases of a run say of when it last showed that it lives.
pub type Renewals = Vec<Option<MicroTime>>;

/// The Leases of runs, and locks, in some namespaces.
#[derive(Clone, Debug, Default)]
pub struct ActiveRuns {
    leases: Vec<Lease>,
    locks: Vec<Lease>,
    watches: Vec<Lease>,
}

/// A run in the cluster.
#[derive(Clone, Debug, Default)]
pub struct ActiveRun<'a> {
    /// Its intent; `None` if none of its Leases has a readable one.
    pub intent: Option<Intent>,
    /// Its Leases.
    pub leases: Vec<&'a Lease>,
}

impl ActiveRuns {
    /// Lists them.
    ///
    /// # Errors
    /// The Leases of a namespace can't be listed.
    pub async fn list(cluster: &Cluster, namespaces: &[String]) -> Result<ActiveRuns, ReadError> {
        let mut found = ActiveRuns::default();
        for namespace in namespaces {
            let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
            let what = format!("list leases in namespace {namespace}");
            let leases = cluster.list(&api, &ListParams::default(), what).await?;
            for lease in leases {
                if lease_run(&lease).is_some() {
                    found.leases.push(lease);
                } else if lock::is_lock(&lease) {
                    found.locks.push(lease);
                } else if presence::is_presence(&lease) {
                    found.watches.push(lease);
                }
            }
        }
        Ok(found)
    }

    /// The runs by id.
    pub fn runs(&self) -> BTreeMap<String, ActiveRun<'_>> {
        let mut runs: BTreeMap<String, ActiveRun<'_>> = BTreeMap::new();
        for lease in &self.leases {
            let run = runs
                .entry(lease_run(lease).cloned().unwrap_or_default())
                .or_default();
            run.intent = run
                .intent
                .take()
                .or_else(|| annotation(lease, INTENT_ANNOTATION));
            run.leases.push(lease);
        }
        runs
    }

    /// The runs as a record shows them. `alive` gives what is known of each.
    pub fn to_record(&self, alive: impl Fn(&str) -> Option<bool>) -> Vec<HeldRun> {
        let held = |(run, found): (String, ActiveRun<'_>)| {
            let acquired = found
                .leases
                .iter()
                .find_map(|lease| lease.spec.as_ref()?.acquire_time.clone());
            let (experiment, executor, changes) = found.intent.map_or_else(
                || (String::new(), String::new(), Vec::new()),
                |intent| (intent.experiment, intent.executor, intent.changes),
            );
            HeldRun {
                experiment,
                executor,
                since: acquired.map(|time| Time(time.0)),
                alive: alive(&run),
                changes,
                undone: false,
                run,
            }
        };
        self.runs().into_iter().map(held).collect()
    }

    /// The locks.
    pub fn locks(&self) -> Vec<Lock> {
        self.locks.iter().map(lock::to_record).collect()
    }

    /// When the watcher of each namespace last said that it is there.
    pub fn watches(&self) -> BTreeMap<String, Option<MicroTime>> {
        let of = |lease: &Lease| {
            let namespace = lease.metadata.namespace.clone()?;
            let time = lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
            Some((namespace, time))
        };
        self.watches.iter().filter_map(of).collect()
    }

    /// Whether a run has ended without everything restored, and a person is needed.
    pub fn is_given_up(&self, run: &str) -> bool {
        let ours = |lease: &&Lease| lease_run(lease).is_some_and(|one| one == run);
        let mut ours = self.leases.iter().filter(ours);
        ours.any(leases::is_given_up)
    }

    /// When each run last showed that it lives.
    pub fn renewals(&self) -> BTreeMap<String, Renewals> {
        let mut renewals: BTreeMap<String, Renewals> = BTreeMap::new();
        for lease in &self.leases {
            let time = lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
            renewals
                .entry(lease_run(lease).cloned().unwrap_or_default())
                .or_default()
                .push(time);
        }
        renewals
    }

    /// Some run has renewed its Leases since.
    pub fn renewed_since(&self, before: &ActiveRuns) -> bool {
        self.renewals() != before.renewals()
    }

    /// The targets of a plan that are held already: name of the Lease, and who holds it.
    pub fn holders(&self, plan: &Plan) -> Vec<(String, String)> {
        let wanted = Intent::of(plan, "", "", Duration::ZERO).leases;
        let is_wanted = |lease: &&Lease| {
            wanted.iter().any(|(namespace, name)| {
                lease.metadata.namespace.as_ref() == Some(namespace)
                    && lease.metadata.name.as_ref() == Some(name)
            })
        };
        let held = self.leases.iter().filter(is_wanted);
        held.map(|lease| {
            let name = lease.metadata.name.clone().unwrap_or_default();
            (name, describe_holder(lease))
        })
        .collect()
    }
}

/// The ids of the runs that live: their Leases are renewed while we look, which needs no clock that
/// two machines agree on. It takes as long as [`EXPIRY`] if there is a run, and ends early once all
/// are known to live.
///
/// # Errors
/// The Leases can't be listed.
pub async fn alive(
    cluster: &Cluster,
    namespaces: &[String],
    before: &ActiveRuns,
) -> Result<Vec<String>, ReadError> {
    let end = Instant::now() + EXPIRY;
    let then = before.renewals();
    let mut living = Vec::new();
    while living.len() < then.len() && Instant::now() < end {
        sleep(LOOK).await;
        let now = ActiveRuns::list(cluster, namespaces).await?.renewals();
        living = then
            .iter()
            // One that is gone by now has ended by itself.
            .filter(|(run, times)| now.get(*run).is_none_or(|now| now != *times))
            .map(|(run, _)| run.clone())
            .collect();
    }
    Ok(living)
}

/// Asks a run to stop: writes who and why on its Leases, which it watches.
///
/// # Errors
/// They can't be written. A run that has ended meanwhile is no error.
pub async fn request_abort(
    cluster: &Cluster,
    intent: &Intent,
    by: &Attribution,
) -> Result<(), ReadError> {
    let value = serde_json::to_string(by).expect("an attribution is JSON");
    for (namespace, name) in &intent.leases {
        let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
        let patch = json!({ "metadata": { "annotations": { ABORT_ANNOTATION: value } } });
        let what = format!(
            "ask run {} to abort (annotate lease {name} in namespace {namespace})",
            intent.run
        );
        let written = cluster.read(what, || async {
            api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await
        });
        match written.await {
            Err(error) if error.kind != ReadErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::safety::leases::abort_requested;
    use crate::testing::objects::{NAMESPACE, RUN, intent, intent_of, plan, scale_to_zero};
    use crate::testing::{ApiServer, Behaviour};

    fn namespaces() -> Vec<String> {
        vec![NAMESPACE.to_owned()]
    }

    fn ours() -> Intent {
        intent(&[scale_to_zero("shop", 3)], &["shop"])
    }

    /// Two runs: ours, and one on the database.
    async fn two_runs() -> ApiServer {
        let server = ApiServer::default();
        let other = intent_of("run-2", &[scale_to_zero("db", 1)], &["db"]);
        for intent in [ours(), other] {
            intent.declare(&server.cluster()).await.expect("declared");
        }
        server
    }

    async fn listed(server: &ApiServer) -> ActiveRuns {
        let found = ActiveRuns::list(&server.cluster(), &namespaces()).await;
        found.expect("listed")
    }

    async fn living(server: &ApiServer) -> Vec<String> {
        let before = listed(server).await;
        let living = alive(&server.cluster(), &namespaces(), &before).await;
        living.expect("listed")
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_renews_its_leases_lives_and_another_does_not() {
        let server = two_runs().await;
        let cluster = server.cluster();
        tokio::spawn(async move {
            sleep(Duration::from_secs(2)).await;
            ours().renew(&cluster).await.expect("renewed");
        });
        assert_eq!(living(&server).await, [RUN]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_ends_while_we_look_was_not_left_behind() {
        let server = two_runs().await;
        let cluster = server.cluster();
        tokio::spawn(async move {
            sleep(Duration::from_secs(1)).await;
            ours().release(&cluster).await.expect("released");
        });
        assert_eq!(living(&server).await, [RUN]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_run_is_known_after_the_expiry_of_its_leases() {
        let server = two_runs().await;
        let start = Instant::now();
        assert_eq!(living(&server).await, [""; 0]);
        assert!((EXPIRY..EXPIRY * 2).contains(&start.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn without_runs_nobody_waits() {
        let start = Instant::now();
        assert_eq!(living(&ApiServer::default()).await, [""; 0]);
        assert!(start.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_abort_reaches_the_run_with_who_and_why() {
        let server = two_runs().await;
        let by = Attribution {
            executor: "boss@desk".into(),
            reason: "the boss calls".into(),
            since: Time::now(),
        };
        request_abort(&server.cluster(), &ours(), &by)
            .await
            .expect("written");
        let asked = |name: &str| {
            let lease = server.get(&format!("lease/{name}")).expect("it exists");
            abort_requested(&serde_json::from_value(lease).expect("a Lease"))
        };
        let asked_of_shop = asked("chaos-deployment-shop").expect("asked");
        assert_eq!(asked_of_shop.executor, by.executor);
        assert_eq!(asked_of_shop.reason, by.reason);
        assert_eq!(asked("chaos-deployment-db"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_abort_of_a_run_that_has_ended_is_no_error() {
        let server = ApiServer::default();
        let by = Attribution {
            executor: "boss@desk".into(),
            reason: "too late".into(),
            since: Time::now(),
        };
        request_abort(&server.cluster(), &ours(), &by)
            .await
            .expect("nothing to stop");
    }

    #[tokio::test(start_paused = true)]
    async fn a_plan_knows_who_holds_its_targets() {
        let server = two_runs().await;
        let found = listed(&server).await;
        let holders = found.holders(&plan(&[], &["db", "cache"]));
        let [(lease, holder)] = holders.as_slice() else {
            panic!("{holders:?}")
        };
        assert_eq!(lease, "chaos-deployment-db");
        assert!(holder.contains("run run-2 holds it"), "{holder}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_shows_what_a_run_changes_and_what_is_known_of_it() {
        let server = two_runs().await;
        let runs = listed(&server).await.to_record(|run| Some(run == RUN));
        let shown: Vec<_> = runs
            .iter()
            .map(|run| (run.run.as_str(), run.alive))
            .collect();
        assert_eq!(shown, [(RUN, Some(true)), ("run-2", Some(false))]);
        assert_eq!(runs[0].changes, ours().changes);
        assert_eq!(runs[0].executor, "ops@laptop");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_with_an_unreadable_intent_still_shows_its_run() {
        let server = two_runs().await;
        let newer = json!({ "metadata": { "annotations": { INTENT_ANNOTATION: "{}" } } });
        server.edit("lease/chaos-deployment-shop", &newer);
        let found = listed(&server).await;
        assert_eq!(found.runs()[RUN].intent, None);
    }

    #[tokio::test(start_paused = true)]
    async fn leases_that_cannot_be_listed_are_an_error_and_not_no_runs() {
        let server = two_runs().await;
        server.always("GET leases", Behaviour::Status(403));
        let error = ActiveRuns::list(&server.cluster(), &namespaces()).await;
        assert_eq!(error.expect_err("forbidden").kind, ReadErrorKind::Forbidden);
    }
}
