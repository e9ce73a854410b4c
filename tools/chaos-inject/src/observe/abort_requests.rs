//! Whether somebody elsewhere wants the run to stop: a watch on each of its Leases.

use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube::runtime::watcher::watch_object;
use tokio::time::sleep;

use crate::abort::AbortSignal;
use crate::safety::leases::abort_requested;

/// How long a deleted Lease is not reported. Our own guardian deletes it when it has taken us for
/// dead; its message says so, and has to come first.
const GUARDIAN_FIRST: Duration = Duration::from_millis(200);

/// The pause before a watch that failed is taken up again.
const PATIENCE: Duration = Duration::from_millis(300);

/// Listens on a Lease of the run. A person's request aborts it, with who and why; so does the loss
/// of the Lease, since nobody else would know how to undo the run.
pub async fn listen(api: Api<Lease>, name: String, abort: AbortSignal) {
    let mut states = std::pin::pin!(watch_object(api, &name));
    let mut was_there = false;
    while let Some(state) = states.next().await {
        match state {
            Ok(Some(lease)) => {
                was_there = true;
                if let Some(by) = abort_requested(&lease) {
                    abort.raise(format!("{} aborted it: {}", by.executor, by.reason));
                }
            }
            Ok(None) if was_there => {
                sleep(GUARDIAN_FIRST).await;
                abort.raise(format!(
                    "somebody deleted the lease {name}, which holds the run's intent"
                ));
            }
            Ok(None) => {}
            // The watch is taken up again by itself, and at once: an API server that is away would
            // be asked without a pause.
            Err(_) => sleep(PATIENCE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Time;
    use tokio::time::timeout;

    use crate::abort::{self, Abort};
    use crate::safety::active_runs::request_abort;
    use crate::safety::intent::Intent;
    use crate::safety::leases::Attribution;
    use crate::testing::ApiServer;
    use crate::testing::objects::{NAMESPACE, intent, scale_to_zero};

    const NAME: &str = "chaos-deployment-shop";

    /// A run that listens on its Lease.
    async fn listening() -> (ApiServer, Intent, Abort) {
        let server = ApiServer::default();
        let intent = intent(&[scale_to_zero("shop", 3)], &["shop"]);
        intent.declare(&server.cluster()).await.expect("declared");
        let (signal, abort) = AbortSignal::new();
        let api = Api::namespaced(server.cluster().client, NAMESPACE);
        tokio::spawn(listen(api, NAME.to_owned(), signal));
        sleep(Duration::from_millis(100)).await;
        (server, intent, abort)
    }

    async fn reason(abort: &mut Abort) -> String {
        let raised = timeout(Duration::from_secs(60), abort::raised(abort)).await;
        raised.expect("aborted");
        abort::reason(abort).expect("with a reason")
    }

    async fn request(server: &ApiServer, intent: &Intent) {
        let by = Attribution {
            executor: "boss@desk".into(),
            reason: "the boss calls".into(),
            since: Time::now(),
        };
        let requested = request_abort(&server.cluster(), intent, &by).await;
        requested.expect("written");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_from_elsewhere_aborts_the_run_with_who_and_why() {
        let (server, intent, mut abort) = listening().await;
        request(&server, &intent).await;
        assert_eq!(
            reason(&mut abort).await,
            "boss@desk aborted it: the boss calls"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_while_the_watch_is_broken_is_heard_too() {
        let (server, intent, mut abort) = listening().await;
        server.break_watches(false);
        request(&server, &intent).await;
        server.break_watches(true);
        assert_eq!(
            reason(&mut abort).await,
            "boss@desk aborted it: the boss calls"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_away_is_not_asked_without_a_pause() {
        let (server, _intent, abort) = listening().await;
        server.always("* /", crate::testing::Behaviour::NoConnection);
        server.break_watches(false);
        let before = server.calls().len();
        // With a pause in between, the test's clock goes on.
        sleep(Duration::from_secs(10)).await;
        let asked = server.calls().len() - before;
        assert!((10..100).contains(&asked), "{asked}");
        assert_eq!(abort::reason(&abort), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_somebody_deletes_aborts_the_run() {
        let (server, _intent, mut abort) = listening().await;
        server.remove(&format!("lease/{NAME}"));
        assert!(
            reason(&mut abort)
                .await
                .contains("somebody deleted the lease")
        );
    }

    #[tokio::test(start_paused = true)]
    async fn renewals_abort_nothing() {
        let (server, intent, abort) = listening().await;
        for _ in 0..5 {
            intent.renew(&server.cluster()).await.expect("renewed");
            sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(abort::reason(&abort), None);
    }
}
