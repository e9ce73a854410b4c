//! One notification: the message, its way over every channel, and the record of it.

use chaos_common::config::Loaded;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Check, Contact, Notification, Occasion, Time, Verdict};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;

use super::compose::{Composed, compose};
use super::escalate::{Begun, begin, preview};
use super::setup::Setup;
use super::verdict;
use super::ways::Ways;
use crate::delivery::Stop;
use crate::facts::Facts;
use crate::occasions::{Scene, Silence, Told};
use crate::settings::Require;
use crate::template::{Asks, Draft, Message};

/// How a message is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct How {
    /// Show it, and send nothing.
    pub(crate) dry_run: bool,
    /// Send it although the same was sent before.
    pub(crate) again: bool,
    /// Which channels must take it.
    pub(crate) require: Option<Require>,
    /// Wait for an acknowledgement, if it is critical, and tell further contacts meanwhile.
    pub(crate) escalate: bool,
}

impl How {
    /// Whether an acknowledgement is waited for.
    pub(super) fn escalates(&self, draft: &Draft) -> bool {
        self.escalate && draft.occasion == Occasion::Critical
    }
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
    let mut stop = Stop::listen();
    let say = |text: &str| stream.progress(text);
    let Telling {
        mut outcome,
        escalation,
    } = tell(&setup, &facts, &draft, how, say).await?;
    if let Some(escalation) = escalation {
        escalation.wait(&mut outcome, &mut stop, say).await;
    }
    outcome.data.checks.splice(0..0, upstream);
    let verdict = Verdict::of(&outcome.data.checks);
    Ok(stream.result(verdict, outcome.summary, outcome.data, verdict.into()))
}

/// What there is to tell.
pub(super) fn draft(setup: &Setup, facts: &Facts, told: &Told) -> Result<Draft, Silence> {
    told.draft(&Scene {
        facts,
        config: &setup.config,
        environments: &setup.settings.environments,
        clock: &setup.clock,
        now: Time::now(),
    })
}

/// What came of a message.
pub(super) struct Outcome {
    pub(super) summary: String,
    pub(super) data: Notification,
}

/// A message that was sent, and whether somebody is waited for.
pub(super) struct Telling<'a> {
    pub(super) outcome: Outcome,
    escalation: Option<Begun<'a>>,
}

/// Sends a message on every channel that it goes to.
///
/// # Errors
/// A template is wrong: a usage error.
pub(super) async fn tell<'a>(
    setup: &'a Setup,
    facts: &Facts,
    draft: &Draft,
    how: &How,
    say: impl Fn(&str),
) -> Result<Telling<'a>, Failure> {
    let Composed {
        event,
        wording,
        mut messages,
        mut checks,
    } = compose(setup, facts, draft)?;
    if how.escalates(draft) {
        checks.extend(ask(setup, &mut messages, how.dry_run));
    }
    let escalation = (how.escalates(draft) && !how.dry_run).then(|| {
        let own = draft.worded(&facts.run, &event, wording.clone());
        begin(setup, &own)
    });
    let mut ways = Ways::default();
    for (configured, message) in setup.channels.iter().zip(&messages) {
        if setup.settings.routed(message.occasion, &configured.name) {
            ways.add(configured, message);
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
            checks.push(Check::skipped(&id, way.channel.to(way.message), why));
        }
        if how.escalates(draft) {
            for line in preview(setup) {
                say(&line);
            }
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
        escalation: None,
        checks,
    };
    Ok(Telling {
        outcome: Outcome { summary, data },
        escalation,
    })
}

/// Makes messages ask for an acknowledgement; the check says why they hold no link for it.
pub(super) fn ask(setup: &Setup, messages: &mut [Message], dry_run: bool) -> Option<Check> {
    let mut check = None;
    for message in messages {
        let (event, whom) = (message.event.clone(), 0);
        message.asks = Some(Asks { event, whom });
        if dry_run {
            setup.arm_masked(message);
        } else {
            check = setup.arm(message);
        }
    }
    check
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
        escalation: None,
        checks,
    };
    stream.result(verdict, summary, data, exit.worst(verdict.into()))
}
