//! `limit.admission`: whether the API server would accept what an experiment writes, found out by a
//! server-side dry run. A LimitRange, a quota, Pod Security and admission policies all have their
//! say in it, and nothing is kept.

use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::record::{Change, Check, Permission, Status};
use futures::future::join_all;

use crate::change::apply;

const ID: &str = "limit.admission";
/// What the API server answers where an admission webhook takes part in no dry run.
const BAD_REQUEST: u16 = 400;

/// One check for each change that would not be accepted; one for all where each would. What there
/// is no right to is not tried: `limit.permissions` says so.
pub async fn check(
    cluster: &Cluster,
    changes: &[Change],
    permissions: &[Permission],
) -> Vec<Check> {
    let tried: Vec<&Change> = changes
        .iter()
        .filter(|change| is_permitted(change, permissions))
        .collect();
    let dry_runs = tried.iter().map(|change| apply::dry_run(cluster, change));
    let answers = join_all(dry_runs).await;
    let refused: Vec<Check> = tried
        .iter()
        .zip(answers)
        .filter_map(|(change, answer)| answer.err().map(|error| judge(change, &error)))
        .collect();
    if refused.is_empty() && !tried.is_empty() {
        let message = format!("a dry run of {} of the writes is accepted", tried.len());
        return vec![Check::pass(ID, "", message)];
    }
    refused
}

/// Whether it is a write that can be tried, and that we may make.
fn is_permitted(change: &Change, permissions: &[Permission]) -> bool {
    let verb = match change {
        Change::Patch { .. } => "patch",
        Change::Create { .. } => "create",
        // What is deleted is not put to admission in the same way: its controller decides.
        Change::Delete { .. } => return false,
    };
    let object = change.object();
    let is_it = |one: &&Permission| {
        one.verb == verb
            && one.resource == object.resource
            && object.namespace.as_ref() == Some(&one.namespace)
            && one.name.as_ref().is_none_or(|name| *name == object.name)
    };
    permissions
        .iter()
        .find(is_it)
        .is_none_or(|found| found.allowed)
}

/// What it means that a write is not accepted.
fn judge(change: &Change, error: &kube::Error) -> Check {
    let object = change.object();
    let what = format!("try {object} (dry run)");
    let why = ReadError::from_kube(what, error);
    let kube::Error::Api(status) = error else {
        return why.check(ID, object.to_string());
    };
    let said = &status.message;
    match status.code {
        BAD_REQUEST => {
            let message = format!("can't be tried: {said}");
            Check::new(ID, object.to_string(), Status::Warn, message)
        }
        403 | 409 | 422 => {
            let message = format!("would not be accepted: {said}");
            let hint = "change what is written (its table in chaos.toml), or what forbids it: \
                        kubectl describe limitranges,resourcequotas,namespace shows some of that";
            Check::fail(ID, object.to_string(), message).hint(hint)
        }
        _ => why.check(ID, object.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::objects::{create_policy, delete_pod, deployment, scale_to_zero};
    use crate::testing::{ApiServer, Behaviour};

    fn changes() -> [Change; 3] {
        [
            create_policy("cut"),
            scale_to_zero("shop", 3),
            delete_pod("a"),
        ]
    }

    async fn checked(server: &ApiServer) -> Vec<(Status, String)> {
        let checks = check(&server.cluster(), &changes(), &[]).await;
        let told = checks.into_iter();
        told.map(|check| (check.status, check.message)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_would_be_accepted_is_tried_and_not_made() {
        let server = ApiServer::with([deployment("shop", 3)]);
        let before = server.get("deployment/shop");
        let told = checked(&server).await;
        let passed = "a dry run of 2 of the writes is accepted".to_owned();
        assert_eq!(told, [(Status::Pass, passed)]);
        assert_eq!(server.names("networkpolicy"), [""; 0]);
        assert_eq!(server.get("deployment/shop"), before);
        assert_eq!(server.writes(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_told_in_the_words_of_whoever_refuses() {
        for (code, status) in [
            (403, Status::Fail),
            (422, Status::Fail),
            (400, Status::Warn),
            (503, Status::Unknown),
        ] {
            let server = ApiServer::with([deployment("shop", 3)]);
            server.always("DRYRUN networkpolicies", Behaviour::Status(code));
            let told = checked(&server).await;
            assert_eq!(told.len(), 1, "{code}: {told:?}");
            assert_eq!(told[0].0, status, "{code}: {told:?}");
            assert!(told[0].1.contains("by the test"), "{told:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dry_run_that_is_not_answered_in_time_is_tried_again() {
        let server = ApiServer::with([deployment("shop", 3)]);
        server.script("DRYRUN networkpolicies", 1, Behaviour::Lost);
        server.script("DRYRUN deployments", 2, Behaviour::Status(503));
        assert_eq!(checked(&server).await[0].0, Status::Pass);
        server.always("DRYRUN networkpolicies", Behaviour::Lost);
        assert_eq!(checked(&server).await[0].0, Status::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn what_there_is_no_right_to_is_not_tried() {
        let server = ApiServer::with([deployment("shop", 3)]);
        server.always("DRYRUN networkpolicies", Behaviour::Status(403));
        let denied = crate::permissions::need("prod", "create", "", "networkpolicies");
        let checks = check(&server.cluster(), &changes(), &[denied]).await;
        assert_eq!(checks.len(), 1, "{checks:?}");
        assert_eq!(checks[0].status, Status::Pass);
    }
}
