//! Whether everybody was told.

use chaos_common::record::{ChannelOutcome, ChannelResult};

use super::{Found, Rule, Topic};
use crate::findings::run_record::RunRecord;

/// A message did not reach anybody for sure.
pub(super) const UNDELIVERED: Rule = Rule {
    name: "notice-undelivered",
    topic: Topic::Process,
    derive: undelivered,
};

fn undelivered(run: &RunRecord) -> Vec<Found> {
    let channels = run
        .notifications
        .iter()
        .flat_map(|record| &record.data.channels);
    let lost = channels.filter(|channel| channel.outcome != ChannelOutcome::Sent);
    let found = |channel: &ChannelResult| {
        let text = format!("Repair the channel {}: {}", channel.channel, channel.detail);
        Found::new(text, "notification: channels")
    };
    lost.map(found).collect()
}
