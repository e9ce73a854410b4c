//! Do this machine and the cluster agree on the time?

use super::catalogue::Explanation;
use chaos_common::cluster::ReadError;
use chaos_common::cluster::clock::Clock;
use chaos_common::record::{Check, Status};

/// `cluster.clock`
pub(super) const CLOCK: Explanation = Explanation {
    id: "cluster.clock",
    asks: "Do this machine and the API server agree on the time?",
    judges: "Warns if they are more than 3 seconds apart. Restarts, events and pods that \
             terminate are counted by the API server's clock in any case.",
    reads: "the Date of the API server's answer to /version",
    remedy: "timedatectl; chronyc tracking",
};

/// `cluster.clock`: ages are counted by the API server's clock; that this machine's is another is
/// told.
pub(super) fn judge(clock: &Result<Clock, ReadError>, server: &str) -> Check {
    const ID: &str = CLOCK.id;
    match clock {
        Ok(clock) => match clock.apart() {
            None => Check::pass(ID, server, "this machine's clock is that of the API server"),
            Some(apart) => Check::new(
                ID,
                server,
                Status::Warn,
                format!(
                    "this machine's clock is {apart} the API server's; ages are counted by that one"
                ),
            )
            .hint("timedatectl shows whether this machine's clock is synchronised"),
        },
        Err(error) => Check::skipped(ID, server, error.to_string()),
    }
}
