//! What was told before in this run, as the stream has it.

use chaos_common::record::{ChannelOutcome, ChannelResult, Notification, Occasion, Record};

use super::Facts;
use crate::template::line;

impl Facts {
    /// Whether anybody may have been told of this occasion.
    pub(crate) fn was_told(&self, occasion: Occasion) -> bool {
        self.notices(occasion)
            .flat_map(|record| &record.data.channels)
            .any(may_have_arrived)
    }

    /// Whether anybody may know that an experiment is coming or running, or hear of it yet from the
    /// spool.
    pub(crate) fn was_announced(&self) -> bool {
        let announcements = self.notices(Occasion::Scheduled);
        let announcements = announcements.chain(self.notices(Occasion::Started));
        let mut results = announcements.flat_map(|record| &record.data.channels);
        results.any(|result| may_have_arrived(result) || result.spooled)
    }

    /// What a channel gave as a receipt for the announcement: what an answer to it refers to.
    pub(crate) fn announcement(&self, channel: &str) -> Option<String> {
        let announcements = self
            .notices(Occasion::Scheduled)
            .chain(self.notices(Occasion::Started));
        announcements
            .flat_map(|record| &record.data.channels)
            .filter(|result| result.channel == channel && may_have_arrived(result))
            .find_map(|result| result.receipt.clone())
    }

    /// The subject of the announcement.
    pub(crate) fn announced(&self) -> Option<String> {
        let mut announcements = self
            .notices(Occasion::Scheduled)
            .chain(self.notices(Occasion::Started));
        announcements
            .next()
            .map(|record| line(&record.data.subject))
    }

    /// When this very message was sent on a channel before, if it may have arrived.
    pub(crate) fn told_before(
        &self,
        event: &str,
        channel: &str,
    ) -> Option<(&Record<Notification>, &ChannelResult)> {
        let same = |record: &&Record<Notification>| record.data.event.as_deref() == Some(event);
        self.told.iter().filter(same).find_map(|record| {
            let mut results = record.data.channels.iter();
            let result = results.find(|r| r.channel == channel && may_have_arrived(r));
            result.map(|result| (record, result))
        })
    }

    fn notices(&self, occasion: Occasion) -> impl Iterator<Item = &Record<Notification>> {
        let told = self.told.iter();
        told.filter(move |record| record.data.occasion == occasion)
    }
}

fn may_have_arrived(result: &ChannelResult) -> bool {
    result.outcome != ChannelOutcome::Failed
}
