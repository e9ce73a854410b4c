//! The Leases that a run keeps in the cluster: their annotations, who holds one, and how one is
//! created. There can only be one Lease of a name, so a Lease is the lock of its target.

use std::time::Duration;

use chaos_common::cluster::may_succeed_later;
use chaos_common::record::{Time, WorkloadRef};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::labels::RUN_LABEL;

/// Annotation of a run's Lease: the intent as JSON.
pub const INTENT_ANNOTATION: &str = "chaos-runbook/intent";
/// Annotation of a run's Lease by which somebody asks the run to stop: an [`Attribution`] as JSON.
pub const ABORT_ANNOTATION: &str = "chaos-runbook/abort";
/// Annotation of a Lease whose run has ended without everything restored: why. It stays a lock until
/// a person has looked.
pub const GIVEN_UP_ANNOTATION: &str = "chaos-runbook/not-restored";
/// The guardian renews the Leases this often.
pub const RENEWAL: Duration = Duration::from_secs(2);
/// A run whose Leases are not renewed for so long is dead. It is more than twice [`RENEWAL`], so
/// that one lost renewal does not get a live run undone.
pub const EXPIRY: Duration = Duration::from_secs(5);
/// What to do about a target that is held.
pub const HELD_HINT: &str = "chaos-inject status shows whether that run is alive: chaos-inject \
     abort stops one that is, chaos-inject recover undoes what a killed one left";

/// Time that the creation of one Lease may take, with its retries. A Lease whose creation was not
/// answered may exist all the same: it holds the target, and `recover` finds it.
const CREATE: Duration = Duration::from_secs(10);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Who did something, why, and when: of an abort or of a lock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    /// User and host.
    pub executor: String,
    /// Why, in that person's words.
    pub reason: String,
    /// When.
    pub since: Time,
}

/// Name of a target's Lease.
pub fn lease_name(workload: &WorkloadRef) -> String {
    format!("chaos-{}-{}", workload.kind.to_lowercase(), workload.name)
}

/// The run that a Lease belongs to; `None` for a Lease that is not a run's.
pub fn lease_run(lease: &Lease) -> Option<&String> {
    lease.metadata.labels.as_ref()?.get(RUN_LABEL)
}

/// Who holds a target, for people: the run, and since when.
pub fn describe_holder(lease: &Lease) -> String {
    let run = lease_run(lease).map_or("an unknown run", String::as_str);
    let acquired = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.acquire_time.as_ref());
    let since = acquired.map_or_else(|| "an unknown time".to_owned(), |time| Time(time.0).human());
    format!("run {run} holds it since {since}")
}

/// An annotation that holds JSON; `None` if it is absent or unreadable.
pub fn annotation<T: for<'de> Deserialize<'de>>(lease: &Lease, name: &str) -> Option<T> {
    serde_json::from_str(lease.metadata.annotations.as_ref()?.get(name)?).ok()
}

/// Who asked the run of this Lease to stop.
pub fn abort_requested(lease: &Lease) -> Option<Attribution> {
    annotation(lease, ABORT_ANNOTATION)
}

/// Whether the run of this Lease has ended without everything restored.
pub fn is_given_up(lease: &Lease) -> bool {
    let annotations = lease.metadata.annotations.as_ref();
    annotations.is_some_and(|all| all.contains_key(GIVEN_UP_ANNOTATION))
}

/// Whether a creation may succeed later. Beside what always may: two writes that count against one
/// ResourceQuota conflict with each other, although nobody holds the Lease.
fn may_be_created_later(error: &kube::Error) -> bool {
    may_succeed_later(error) || matches!(error, kube::Error::Api(status) if status.is_conflict())
}

/// Creates a run's Lease, and tries again if that was not answered: an attempt before may have
/// created it, which the run's label shows.
///
/// # Errors
/// As the API server's; [`kube::core::Status::is_already_exists`] if another run holds it.
pub async fn create(api: &Api<Lease>, lease: &Lease) -> kube::Result<Lease> {
    let end = Instant::now() + CREATE;
    loop {
        let late = |_| Err(kube::Error::Service("no answer in time".into()));
        let written = timeout(CREATE / 2, api.create(&PostParams::default(), lease))
            .await
            .unwrap_or_else(late);
        match written {
            Err(error) if may_be_created_later(&error) && Instant::now() < end => {
                sleep(PAUSE).await;
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                let name = lease.metadata.name.as_deref().unwrap_or_default();
                let existing = api.get(name).await?;
                return if lease_run(&existing) == lease_run(lease) {
                    Ok(existing)
                } else if is_disowned(&existing) {
                    take_over(api, (name, lease), &existing).await
                } else {
                    Err(kube::Error::Api(status))
                };
            }
            other => return other,
        }
    }
}

/// Whether a Lease is one that a run could not delete, and gave up: nobody holds it.
fn is_disowned(lease: &Lease) -> bool {
    let holder = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.holder_identity.as_ref());
    lease_run(lease).is_none() && holder.is_none_or(String::is_empty)
}

/// Makes a disowned Lease a run's, unless somebody was quicker.
async fn take_over(
    api: &Api<Lease>,
    (name, lease): (&str, &Lease),
    existing: &Lease,
) -> kube::Result<Lease> {
    let mut ours = lease.clone();
    ours.metadata.uid.clone_from(&existing.metadata.uid);
    ours.metadata
        .resource_version
        .clone_from(&existing.metadata.resource_version);
    let taken = api
        .patch(name, &PatchParams::default(), &Patch::Merge(&ours))
        .await;
    match taken {
        Err(kube::Error::Api(mut status)) if status.is_conflict() => {
            "AlreadyExists".clone_into(&mut status.reason);
            Err(kube::Error::Api(status))
        }
        taken => taken,
    }
}
