//! The ways that a message can go, and going them all at the same time.

use std::collections::BTreeMap;

use chaos_common::record::{ChannelOutcome, ChannelResult, Check, Time};
use chaos_common::stream::Upstream;
use futures::future::join;
use tokio::time::Instant;

use super::finish::finish;
use super::flush::{Due, flushed, send_due, trouble, waiting};
use super::setup::Setup;
use crate::channels::{Channel, Configured};
use crate::delivery::{Job, Pace, Watch, send as send_all};
use crate::facts::Facts;
use crate::spool::{Entry, Spool, SpoolError};
use crate::template::Message;

/// The ways that a message can go.
#[derive(Default)]
pub(super) struct Ways<'a> {
    pub(super) open: Vec<Way<'a>>,
    /// Of channels that can't be used.
    pub(super) results: Vec<ChannelResult>,
    /// Of channels that are not concerned.
    pub(super) checks: Vec<Check>,
}

/// A message and a channel that can carry it.
pub(super) struct Way<'a> {
    pub(super) name: &'a str,
    pub(super) channel: &'a dyn Channel,
    pace: &'a Pace,
    pub(super) message: &'a Message,
}

impl<'a> Ways<'a> {
    /// A way for this message, if the channel can carry it.
    pub(super) fn add(&mut self, configured: &'a Configured, message: &'a Message) {
        let name = configured.name.as_str();
        match &configured.channel {
            Err(error) => self.results.push(unsent(name, error.to_string())),
            Ok(channel) => match channel.unconcerned(message) {
                Some(why) => {
                    let id = format!("notify.{name}");
                    self.checks.push(Check::skipped(&id, "", why));
                }
                None => self.open.push(Way {
                    name,
                    channel: channel.as_ref(),
                    pace: &configured.pace,
                    message,
                }),
            },
        }
    }

    /// Sends on all of them at the same time, and what waits in the spool beside it.
    pub(super) async fn send(
        self,
        setup: &Setup,
        facts: &Facts,
        again: bool,
        checks: &mut Vec<Check>,
    ) -> Vec<ChannelResult> {
        let spool = setup.spool.as_ref();
        let (mut results, mut new) = (Vec::new(), Vec::new());
        for way in self.open {
            match repetition(setup, facts, &way).filter(|_| !again) {
                Some(result) => results.push(result),
                None => new.push(way),
            }
        }
        // What an earlier call left of the same message is taken up where it was left.
        let old = waiting(setup);
        let left: Vec<bool> = old
            .due
            .iter()
            .map(|due| new.iter().any(|way| way.is(due)))
            .collect();
        new.retain(|way| !old.holds(&way.message.event, way.name));
        checks.extend(old.checks);
        let deadline = Instant::now() + setup.settings.deadline.0;
        let (mut going, mut jobs) = (Vec::new(), Vec::new());
        for way in new {
            let entry = match way.place(spool, again) {
                Place::Kept(entry) => Some(*entry),
                Place::Unkept(error) => {
                    checks.extend(error.map(|error| trouble(&error.to_string())));
                    None
                }
                Place::Elsewhere => {
                    let known = repetition(setup, facts, &way);
                    results.push(known.unwrap_or_else(|| way.elsewhere()));
                    continue;
                }
            };
            jobs.push(way.job(Watch::new(deadline, entry)));
            going.push(way);
        }
        let (sent, flushed_now) = join(send_all(jobs), send_due(setup, old.due)).await;
        for (finished, is_left) in flushed_now.into_iter().zip(left) {
            if is_left {
                results.push(finished.result);
            } else {
                checks.push(flushed(&finished.result));
            }
        }
        for (way, sent) in going.iter().zip(sent) {
            let to = way.channel.to(way.message);
            let finished = finish(spool, way.name, to, way.message, sent);
            checks.extend(finished.trouble.map(|error| trouble(&error.to_string())));
            results.push(finished.result);
        }
        results
    }
}

impl<'a> Way<'a> {
    fn is(&self, due: &Due<'_>) -> bool {
        due.is(&self.message.event, self.name)
    }

    /// Puts the message in the spool, so that it outlives this call.
    fn place(&self, spool: Option<&Spool>, again: bool) -> Place {
        let Some(spool) = spool else {
            return Place::Unkept(None);
        };
        let recipients = self.channel.recipients(self.message);
        let entry = match spool.put(self.name, self.message, &recipients) {
            Ok(Some(entry)) => entry,
            Ok(None) => return Place::Elsewhere,
            Err(error) => return Place::Unkept(Some(error)),
        };
        // Another process may have sent it between the look and the lock.
        let known = spool.remembered(&self.message.event, self.name);
        if known.is_some() && !again {
            let removed = entry.remove();
            return removed.map_or_else(|error| Place::Unkept(Some(error)), |()| Place::Elsewhere);
        }
        Place::Kept(Box::new(entry))
    }

    fn job(&self, watch: Watch) -> Job<'a> {
        Job {
            channel: self.channel,
            pace: self.pace,
            message: self.message,
            recipients: self.channel.recipients(self.message),
            watch,
        }
    }

    /// The result where another process was sending it, and what became of it is not known here.
    fn elsewhere(&self) -> ChannelResult {
        let why = "another process was sending the same message; --again sends it again";
        ChannelResult {
            outcome: ChannelOutcome::Unknown,
            to: self.channel.to(self.message),
            ..unsent(self.name, why.to_owned())
        }
    }
}

/// Where a message is while it is sent.
enum Place {
    /// In the spool.
    Kept(Box<Entry>),
    /// Nowhere: there is no spool, or it can't be written.
    Unkept(Option<SpoolError>),
    /// Another process has it, or has sent it. Of several who send the same, one does.
    Elsewhere,
}

/// The result of a message that was sent before, by this stream or by the spool's memory.
fn repetition(setup: &Setup, facts: &Facts, way: &Way<'_>) -> Option<ChannelResult> {
    let event = &way.message.event;
    let by_stream = facts.told_before(event, way.name);
    let by_stream =
        by_stream.map(|(record, result)| (record.time, result.outcome, result.receipt.clone()));
    let spool = setup.spool.as_ref();
    let memory = || {
        let memory = spool.and_then(|spool| spool.remembered(event, way.name))?;
        Some((memory.time, memory.outcome, memory.receipt))
    };
    let under_way = || {
        let held = spool.is_some_and(|spool| spool.is_being_sent(event, way.name));
        held.then(|| (Time::now(), ChannelOutcome::Unknown, None))
    };
    let (time, outcome, receipt) = by_stream.or_else(memory).or_else(under_way)?;
    let what = match outcome {
        ChannelOutcome::Unknown => "it may have arrived",
        _ => "the same message was sent",
    };
    Some(ChannelResult {
        channel: way.name.to_owned(),
        to: way.channel.to(way.message),
        outcome,
        attempts: 0,
        detail: format!("{what} at {}; --again sends it again", time.human()),
        receipt,
        recipients: Vec::new(),
        spooled: false,
    })
}

fn unsent(name: &str, why: String) -> ChannelResult {
    ChannelResult {
        channel: name.to_owned(),
        to: String::new(),
        outcome: ChannelOutcome::Failed,
        attempts: 0,
        detail: why,
        receipt: None,
        recipients: Vec::new(),
        spooled: false,
    }
}

/// Tells one contact on the channels on which they are reached.
pub(super) async fn tell_contact(
    setup: &Setup,
    message: &Message,
    to: &BTreeMap<String, Vec<String>>,
    checks: &mut Vec<Check>,
) -> Vec<ChannelResult> {
    let facts = Facts::of(&Upstream::default(), &message.run);
    let addressed = |(name, addresses): (&String, &Vec<String>)| {
        let mut message = message.clone();
        message.addresses.clone_from(addresses);
        // Why there is no link was told with the first message.
        let _ = setup.arm(&mut message);
        (setup.channel(name), message)
    };
    let messages: Vec<_> = to.iter().map(addressed).collect();
    let mut ways = Ways::default();
    for (configured, message) in &messages {
        let configured = configured.expect("the names of channels were checked");
        ways.add(configured, message);
    }
    let mut results = std::mem::take(&mut ways.results);
    results.extend(ways.send(setup, &facts, false, checks).await);
    results
}
