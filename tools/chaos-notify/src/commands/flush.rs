//! What waits in the spool is sent.

use chaos_common::config::Loaded;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{ChannelOutcome, ChannelResult, Check, Notification, Status, Verdict};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;
use tokio::time::Instant;

use super::escalate::Wait;
use super::finish::{Finished, finish};
use super::setup::Setup;
use super::verdict;
use crate::channels::Channel;
use crate::delivery::{Job, Pace, Watch, send};
use crate::settings::Require;
use crate::spool::{Entry, Spool, State};
use crate::template::Message;

/// Said in a message whose first copy may have arrived.
const AGAIN: &str = "This message may have reached you before.";

/// An entry of the spool that can be sent.
pub(crate) struct Due<'a> {
    name: String,
    channel: &'a dyn Channel,
    pace: &'a Pace,
    message: Message,
    entry: Entry,
}

/// What the spool holds.
#[derive(Default)]
pub(crate) struct Waiting<'a> {
    pub(crate) due: Vec<Due<'a>>,
    /// What is not sent, and why.
    pub(crate) checks: Vec<Check>,
}

/// Sends what waits in the spool; a record for each message and channel.
///
/// # Errors
/// The configuration is wrong, or standard output is closed.
pub(crate) async fn flush(loaded: Loaded, format: Option<Format>) -> Result<Exit, Failure> {
    let setup = Setup::of(loaded)?;
    let mut stream = Stream::alone(tool!(), format)?;
    let Waiting { due, checks } = waiting(&setup);
    for check in &checks {
        stream.progress(&format!("{}: {}", check.id, check.message));
    }
    if due.is_empty() {
        stream.progress("nothing in the spool can be sent now");
    }
    // What stays there is not lost, and nobody knows when it can be sent.
    let mut exit = if checks.is_empty() {
        Exit::Pass
    } else {
        Exit::Unknown
    };
    let messages: Vec<Message> = due.iter().map(|due| due.message.clone()).collect();
    for (message, finished) in messages.into_iter().zip(send_due(&setup, due).await) {
        let results = vec![finished.result];
        let mut checks = verdict::checks(&results, &Require::All);
        checks.extend(finished.trouble.map(|error| trouble(&error.to_string())));
        let (verdict, summary) = (Verdict::of(&checks), verdict::summary(&results));
        exit = exit.worst(verdict.into());
        stream.progress(&format!("{verdict}: {summary}"));
        let data = record(message, results, checks);
        stream.add(verdict, summary, data);
    }
    for (verdict, summary, data) in carry_on(&setup, &|text| stream.progress(text)).await {
        exit = exit.worst(verdict.into());
        stream.progress(&format!("{verdict}: {summary}"));
        stream.add(verdict, summary, data);
    }
    if let Some(spool) = &setup.spool {
        let forgotten = spool.forget_old();
        forgotten.unwrap_or_else(|error| stream.progress(&format!("cannot forget: {error}")));
    }
    Ok(stream.end(exit))
}

/// What became of a message of the spool.
fn record(message: Message, channels: Vec<ChannelResult>, checks: Vec<Check>) -> Notification {
    Notification {
        occasion: message.occasion,
        event: Some(message.event),
        subject: message.wording.subject,
        text: message.wording.text,
        contacts: Vec::new(),
        channels,
        escalation: None,
        checks,
    }
}

/// Carries on what killed processes left of waiting for an answer: whose turn it is, is told.
async fn carry_on(setup: &Setup, say: &impl Fn(&str)) -> Vec<(Verdict, String, Notification)> {
    let left = setup.spool.as_ref().map(Spool::escalations_left);
    let mut records = Vec::new();
    for open in left.into_iter().flatten() {
        let open = match open {
            Ok(open) => open,
            Err(error) => {
                say(&error.to_string());
                continue;
            }
        };
        let message = open.kept.message.clone();
        let channels = open.kept.first.clone();
        let mut wait = Wait::new(setup, open, Vec::new());
        let (escalation, checks, summary) = wait.once(say).await;
        let data = Notification {
            escalation: Some(escalation),
            ..record(message, channels, checks)
        };
        records.push((Verdict::of(&data.checks), summary, data));
    }
    records
}

/// What in the spool is due, and what is not.
pub(crate) fn waiting(setup: &Setup) -> Waiting<'_> {
    let mut waiting = Waiting::default();
    let Some(spool) = &setup.spool else {
        return waiting;
    };
    for entry in spool.waiting() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                waiting.checks.push(trouble(&error.to_string()));
                continue;
            }
        };
        let name = entry.channel().to_owned();
        let message = entry.message().clone();
        let known = spool.remembered(&message.event, &name);
        // Whoever sent it died before it was out of the spool.
        let settled = |outcome| matches!(outcome, ChannelOutcome::Sent | ChannelOutcome::Unknown);
        if known.is_some_and(|memory| settled(memory.outcome)) {
            waiting.drop(entry);
            continue;
        }
        let configured = setup.channel(&name);
        let known = configured.map(|configured| (&configured.channel, &configured.pace));
        let (channel, pace) = match known {
            Some((Ok(channel), pace)) => (channel.as_ref(), pace),
            Some((Err(error), _)) => {
                waiting.checks.push(stays(&name, &error.to_string()));
                continue;
            }
            None => {
                waiting
                    .checks
                    .push(stays(&name, "no channel has this name"));
                continue;
            }
        };
        if channel.shows_state() && spool.is_overtaken(&message, &name) {
            waiting.drop(entry);
            continue;
        }
        waiting.due.push(Due {
            name,
            channel,
            pace,
            message: marked(message, entry.state()),
            entry,
        });
    }
    waiting
}

impl Due<'_> {
    /// Whether it is this message on this channel.
    pub(super) fn is(&self, event: &str, channel: &str) -> bool {
        self.message.event == event && self.name == channel
    }
}

impl Waiting<'_> {
    /// Whether it holds this message for this channel: an earlier call did not come to its end.
    pub(super) fn holds(&self, event: &str, channel: &str) -> bool {
        self.due.iter().any(|due| due.is(event, channel))
    }

    /// Takes an entry out of the spool that nobody has to get any more.
    fn drop(&mut self, entry: Entry) {
        let removed = entry.remove();
        self.checks
            .extend(removed.err().map(|error| trouble(&error.to_string())));
    }
}

/// Sends what is due.
pub(crate) async fn send_due(setup: &Setup, due: Vec<Due<'_>>) -> Vec<Finished> {
    let deadline = Instant::now() + setup.settings.deadline.0;
    let (mut jobs, mut names, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    for mut due in due {
        // Why there is no link was told when it was sent first.
        let _ = setup.arm(&mut due.message);
        names.push((due.name, due.channel.to(&due.message)));
        messages.push(due.message);
        jobs.push((due.channel, due.pace, due.entry));
    }
    let jobs = jobs.into_iter().zip(&messages);
    let jobs = jobs.map(|((channel, pace, entry), message)| Job {
        channel,
        pace,
        message,
        recipients: entry.recipients().to_vec(),
        watch: Watch::new(deadline, Some(entry)),
    });
    let sent = send(jobs.collect()).await;
    let all = names.into_iter().zip(&messages).zip(sent);
    all.map(|(((name, to), message), sent)| finish(setup.spool.as_ref(), &name, to, message, sent))
        .collect()
}

/// The message, with a word for its readers where a first copy of it may have arrived.
fn marked(mut message: Message, state: State) -> Message {
    if state == State::Sending {
        let wording = &mut message.wording;
        wording.text = format!("{AGAIN}\n\n{}", wording.text);
        wording.short = format!("{AGAIN} {}", wording.short);
    }
    message
}

/// The check of what a later call did with the spool.
pub(crate) fn flushed(result: &ChannelResult) -> Check {
    let (id, to) = ("notify.spool", &result.channel);
    let detail = &result.detail;
    match result.outcome {
        ChannelOutcome::Sent | ChannelOutcome::Partly => Check::pass(
            id,
            to,
            format!("what waited in the spool was sent: {detail}"),
        ),
        ChannelOutcome::Failed | ChannelOutcome::Unknown => Check::new(
            id,
            to,
            Status::Warn,
            format!("what waited in the spool: {detail}"),
        ),
    }
}

/// A spool that can't be used holds nothing up, and is told.
pub(crate) fn trouble(why: &str) -> Check {
    Check::new("notify.spool", "", Status::Warn, why)
        .hint("what is not delivered now is not kept; see that notify.spool can be written")
}

fn stays(channel: &str, why: &str) -> Check {
    let why = format!("a message waits: {why}");
    Check::new("notify.spool", channel, Status::Warn, why)
}
