//! Do the user's own probes hold?

use futures::stream::{self, StreamExt};

use super::Subject;
use super::answers::PARALLEL;
use super::catalogue::Explanation;
use chaos_common::record::Check;
use chaos_common::steady_state::Surroundings;

/// `probe.holds`
pub(super) const HOLDS: Explanation = Explanation {
    id: "probe.holds",
    asks: "Do the probes of [[probe]] hold, the steady state in the user's own terms?",
    judges: "Fails where an answer is not as the probe wants it. What can't be asked, or has no \
             answer, is unknown.",
    reads: "what each probe says: Prometheus, a URL or Service, the database, a program",
    remedy: "ask the same by hand; the message shows what was seen",
};

/// `probe.holds`: every probe that is asked now, several at a time.
pub(super) async fn examine(subject: Subject<'_>) -> Vec<Check> {
    let Subject {
        probe,
        config,
        namespace,
        ..
    } = subject;
    let surroundings = &Surroundings::new(probe, namespace, config);
    let ask = config.probes.iter().map(|probe| async move {
        let finding = surroundings.ask(probe).await;
        finding.check(HOLDS.id, &probe.name)
    });
    stream::iter(ask).buffered(PARALLEL).collect().await
}
