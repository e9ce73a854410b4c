//! One notification: the message, its way over every channel, and the record of it.

use chaos_common::config::Loaded;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{
    ChannelOutcome, ChannelResult, Check, Contact, Notification, Occasion, Time, Verdict,
};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;
use futures::future::join;
use tokio::time::Instant;

use super::compose::{Composed, compose};
use super::finish::finish;
use super::flush::{Due, flushed, send_due, trouble, waiting};
use super::setup::Setup;
use super::verdict;
use crate::channels::{Channel, ChannelError};
use crate::delivery::{Job, Watch, send as send_all};
use crate::facts::Facts;
use crate::occasions::{Scene, Silence, Told};
use crate::settings::Require;
use crate::spool::Spool;
use crate::template::{Draft, Message};

/// How a message is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct How {
    /// Show it, and send nothing.
    pub(crate) dry_run: bool,
    /// Send it although the same was sent before.
    pub(crate) again: bool,
    /// Which channels must take it.
    pub(crate) require: Option<Require>,
}

/// Reads the stream, tells everyone, and adds the record of it.
///
/// # Errors
/// There is nothing to tell, or the configuration is wrong: a usage error.
pub(crate) async fn send(
    loaded: Loaded,
    format: Option<Format>,
    told: &Told,
    how: &How,
) -> Result<Exit, Failure> {
    let setup = Setup::of(loaded)?;
    let mut stream = Stream::open(tool!(), format)?;
    let facts = Facts::of(&stream.upstream, &stream.run);
    let upstream = stream.upstream.check();
    let draft = match draft(&setup, &facts, told) {
        Ok(draft) => draft,
        Err(silence) => return Ok(nothing_sent(&mut stream, told.occasion(), silence)),
    };
    let mut outcome = tell(&setup, &facts, &draft, how, |text| stream.progress(text)).await?;
    outcome.data.checks.splice(0..0, upstream);
    let verdict = Verdict::of(&outcome.data.checks);
    Ok(stream.result(verdict, outcome.summary, outcome.data, verdict.into()))
}

/// What there is to tell.
pub(super) fn draft(setup: &Setup, facts: &Facts, told: &Told) -> Result<Draft, Silence> {
    told.draft(&Scene {
        facts,
        config: &setup.config,
        clock: &setup.clock,
        now: Time::now(),
    })
}

/// What came of a message.
pub(super) struct Outcome {
    pub(super) summary: String,
    pub(super) data: Notification,
}

/// Sends a message on every channel that it goes to.
///
/// # Errors
/// A template is wrong: a usage error.
pub(super) async fn tell(
    setup: &Setup,
    facts: &Facts,
    draft: &Draft,
    how: &How,
    say: impl Fn(&str),
) -> Result<Outcome, Failure> {
    let Composed {
        event,
        wording,
        messages,
        mut checks,
    } = compose(setup, facts, draft)?;
    let mut ways = Ways::default();
    for (configured, message) in setup.channels.iter().zip(&messages) {
        if setup.settings.routed(message.occasion, &configured.name) {
            ways.add(&configured.name, configured.channel.as_deref(), message);
        }
    }
    checks.append(&mut ways.checks);
    let mut results = std::mem::take(&mut ways.results);
    let summary = if how.dry_run {
        checks.extend(verdict::checks(&results, &Require::All));
        for way in &ways.open {
            say(&format!("would send: {}", way.channel.preview(way.message)));
            let why = "dry run: nothing was sent";
            let id = format!("notify.{}", way.name);
            checks.push(Check::skipped(&id, way.channel.to(draft.occasion), why));
        }
        results.clear();
        "dry run: nothing was sent".to_owned()
    } else {
        let require = how.require.as_ref().unwrap_or(&setup.settings.require);
        results.extend(ways.send(setup, facts, how.again, &mut checks).await);
        if results.is_empty() {
            checks.push(nobody(setup, draft.occasion));
        } else {
            checks.splice(0..0, verdict::checks(&results, require));
        }
        verdict::summary(&results)
    };
    checks.extend(draft.gaps.iter().cloned());
    let data = Notification {
        occasion: draft.occasion,
        event: Some(event),
        subject: wording.subject,
        text: wording.text,
        contacts: draft.contacts.clone(),
        channels: results,
        checks,
    };
    Ok(Outcome { summary, data })
}

/// The ways that a message can go.
#[derive(Default)]
struct Ways<'a> {
    open: Vec<Way<'a>>,
    /// Of channels that can't be used.
    results: Vec<ChannelResult>,
    /// Of channels that are not concerned.
    checks: Vec<Check>,
}

/// A message and a channel that can carry it.
struct Way<'a> {
    name: &'a str,
    channel: &'a dyn Channel,
    message: &'a Message,
}

impl<'a> Ways<'a> {
    fn add(
        &mut self,
        name: &'a str,
        channel: Result<&'a (dyn Channel + 'a), &'a ChannelError>,
        message: &'a Message,
    ) {
        match channel {
            Err(error) => self.results.push(unsent(name, error.to_string())),
            Ok(channel) => match channel.unconcerned(message) {
                Some(why) => {
                    let id = format!("notify.{name}");
                    self.checks.push(Check::skipped(&id, "", why));
                }
                None => self.open.push(Way {
                    name,
                    channel,
                    message,
                }),
            },
        }
    }

    /// Sends on all of them at the same time, and what waits in the spool beside it.
    async fn send(
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
        let jobs = new.iter().map(|way| way.job(spool, deadline, checks));
        let jobs = jobs.collect();
        let (sent, flushed_now) = join(send_all(jobs), send_due(setup, old.due)).await;
        for (finished, is_left) in flushed_now.into_iter().zip(left) {
            if is_left {
                results.push(finished.result);
            } else {
                checks.push(flushed(&finished.result));
            }
        }
        for (way, sent) in new.iter().zip(sent) {
            let to = way.channel.to(way.message.occasion);
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

    /// The message in the spool, so that it outlives this call, and ready to be sent.
    fn job(&self, spool: Option<&Spool>, deadline: Instant, checks: &mut Vec<Check>) -> Job<'a> {
        let recipients = self.channel.recipients(self.message);
        let entry = spool.map(|spool| spool.put(self.name, self.message, &recipients));
        let entry = entry.transpose().unwrap_or_else(|error| {
            checks.push(trouble(&error.to_string()));
            None
        });
        Job {
            channel: self.channel,
            message: self.message,
            recipients,
            watch: Watch::new(deadline, entry),
        }
    }
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
        to: way.channel.to(way.message.occasion),
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

/// A message that goes nowhere reaches nobody.
fn nobody(setup: &Setup, occasion: Occasion) -> Check {
    let mut names = setup.channels.iter().map(|channel| &channel.name);
    let (why, hint) = if setup.channels.is_empty() {
        (
            "no channel is configured: nobody was told",
            "configure notify.mail, notify.slack or another channel in chaos.toml",
        )
    } else if !names.any(|name| setup.settings.routed(occasion, name)) {
        (
            "notify.routes leads this occasion nowhere: nobody was told",
            "name a channel in notify.routes",
        )
    } else {
        (
            "no channel is concerned with this occasion: nobody was told",
            "configure notify.mail or notify.slack in chaos.toml",
        )
    };
    Check::unknown("notify.channels", "", why).hint(hint)
}

/// The record of a message that was not made, and the exit status.
pub(super) fn nothing_sent(stream: &mut Stream, occasion: Occasion, silence: Silence) -> Exit {
    let summary = silence.to_string();
    let mut checks: Vec<Check> = stream.upstream.check().into_iter().collect();
    let exit = match silence {
        Silence::Nothing { why, hint } => {
            stream.progress(&summary);
            stream.progress(&format!("hint: {hint}"));
            checks.push(Check::unknown("notify.nothing", "", why).hint(hint));
            // Of a stream that is cut, nobody knows what it was to tell.
            match stream.upstream.broken {
                Some(_) => Exit::Unknown,
                None => Exit::Usage,
            }
        }
        Silence::NotNeeded(why) => {
            checks.push(Check::pass("notify.not-needed", "", why));
            Exit::Pass
        }
        Silence::Lost(check) => {
            checks.push(*check);
            Exit::Unknown
        }
    };
    let verdict = Verdict::of(&checks);
    let contacts: Vec<Contact> = Vec::new();
    let data = Notification {
        occasion,
        event: None,
        subject: String::new(),
        text: String::new(),
        contacts,
        channels: Vec::new(),
        checks,
    };
    stream.result(verdict, summary, data, exit.worst(verdict.into()))
}
