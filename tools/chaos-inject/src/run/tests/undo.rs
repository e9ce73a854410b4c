//! An undo that does not succeed at once.

use tokio::time::{Duration, sleep};

use super::{PATCH, bed, during_the_fault, in_local_set, is_restored, stub};
use crate::testing::Behaviour;

#[tokio::test(start_paused = true)]
async fn an_undo_that_is_refused_at_first_is_told_and_stays_in_the_record() {
    let bed = bed();
    in_local_set(async {
        during_the_fault(&bed, async |server| {
            server.always(PATCH, Behaviour::Status(403));
            sleep(Duration::from_secs(35)).await;
            server.mend();
        });
        let ended = bed.run(stub()).await;
        assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
        let issues = ended.record["issues"].to_string();
        assert!(issues.contains("the undo is not accepted"), "{issues}");
        assert!(issues.contains("Forbidden by the test"), "{issues}");
        assert_eq!(ended.check("stub.undo"), Some("warn"));
        let message = ended.message("stub.undo").unwrap_or_default();
        assert!(message.contains("30.0 s were planned"), "{message}");
        let journal = bed.journal();
        let line = |part: &str| journal.lines().position(|line| line.contains(part));
        let told = line("the undo is not accepted").expect("it is told");
        assert!(told < line("has spec.replicas 3 again").expect("undone"));
        is_restored(&bed);
    })
    .await;
}
