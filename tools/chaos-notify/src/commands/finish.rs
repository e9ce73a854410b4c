//! After the sending: what is remembered, what stays in the spool, and what the record says.

use chaos_common::record::{ChannelOutcome, ChannelResult};

use crate::delivery::Sent;
use crate::escalation::token;
use crate::spool::{Spool, SpoolError};
use crate::template::Message;

/// A result, and why the spool could not be kept, if it could not.
pub(crate) struct Finished {
    pub(crate) result: ChannelResult,
    pub(crate) trouble: Option<SpoolError>,
}

/// Remembers what became of a message, and takes it out of the spool unless somebody may get it
/// yet.
pub(crate) fn finish(
    spool: Option<&Spool>,
    channel: &str,
    to: String,
    message: &Message,
    sent: Sent,
) -> Finished {
    let Sent {
        standing,
        tries,
        given_up,
        watch,
    } = sent;
    let outcome = standing.outcome();
    let (entry, mut trouble) = watch.into_entry();
    let mut note = |done: Result<(), SpoolError>| {
        if let Err(error) = done {
            trouble.get_or_insert(error);
        }
    };
    // Before it leaves the outbox: whoever dies between the two has sent it, and a later call
    // knows.
    if let Some(spool) = spool.filter(|_| outcome != ChannelOutcome::Failed) {
        note(spool.remember(message, channel, outcome, standing.receipt()));
    }
    let spooled = match entry {
        Some(_) if standing.is_open() => true,
        Some(entry) => {
            note(entry.remove());
            false
        }
        None => false,
    };
    let mut detail = standing.detail();
    if let Some(why) = given_up {
        detail = format!("{detail}; {why}");
    }
    let mut recipients = standing.results();
    if let Some(link) = &message.acknowledge {
        // An answer may repeat what was sent.
        let own = recipients.iter_mut().map(|recipient| &mut recipient.detail);
        for text in own.chain([&mut detail]) {
            *text = text.replace(token(link), "***");
        }
    }
    let result = ChannelResult {
        channel: channel.to_owned(),
        to,
        outcome,
        attempts: tries,
        detail,
        receipt: standing.receipt(),
        recipients,
        spooled,
    };
    Finished { result, trouble }
}
