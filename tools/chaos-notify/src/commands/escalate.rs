//! Waiting for somebody to answer, and telling one contact after the other meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_common::config::Span;
use chaos_common::record::{
    Acknowledgement, ChannelOutcome, ChannelResult, Check, Escalation, EscalationEnd,
    EscalationStep, Status, Time,
};
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::flush::trouble;
use super::send::Outcome;
use super::setup::Setup;
use super::verdict;
use super::ways::tell_contact;
use crate::channels::Acknowledged;
use crate::delivery::{Stop, Watch};
use crate::escalation::{self, Next, Position, next};
use crate::settings::Step;
use crate::spool::{self, KeptEscalation, Open};
use crate::template::{Message, line};

/// The id of the check.
const ID: &str = "notify.acknowledged";

/// How often the spool is looked at: the receiver writes answers there.
const LOOK: Duration = Duration::from_secs(1);

/// How often services are asked, and how long they may take.
const ASK: Duration = Duration::from_secs(5);
const ASK_LIMIT: Duration = Duration::from_secs(8);

/// Why nobody is waited for any more.
enum End {
    Acknowledged(Acknowledgement),
    RunOver,
    Stopped(&'static str),
    Unanswered,
    /// Another call carries it on.
    Later(Option<Duration>),
}

/// An escalation before its first message is sent.
pub(super) enum Begun<'a> {
    Here(Box<Wait<'a>>),
    /// Why this process waits for nobody.
    Not(Check),
}

/// Begins an escalation, before anybody can answer.
pub(super) fn begin<'a>(setup: &'a Setup, message: &Message) -> Begun<'a> {
    if !setup.settings.escalation.is_given() {
        let why = "nobody is waited for or told further: there is no table notify.escalation";
        return Begun::Not(Check::unknown(ID, "", why).hint("add its steps to chaos.toml"));
    }
    let kept = KeptEscalation {
        message: escalation::base(message),
        started: Time::now(),
        first: Vec::new(),
        told: Vec::new(),
    };
    let here = |open, checks| Begun::Here(Box::new(Wait::new(setup, open, checks)));
    let spool = setup.spool.as_ref();
    match spool.map(|spool| spool.escalate(kept.clone())) {
        Some(Ok(spool::Begun::Here(open))) => here(*open, Vec::new()),
        Some(Ok(spool::Begun::Elsewhere)) => {
            let why = "another process waits for an answer to the same message";
            Begun::Not(Check::skipped(ID, "", why))
        }
        // An alarm goes on without the spool.
        Some(Err(error)) => {
            let checks = vec![trouble(&error.to_string())];
            here(Open::unkept(kept), checks)
        }
        None => here(Open::unkept(kept), Vec::new()),
    }
}

impl Begun<'_> {
    /// Waits for an answer to the message, which was sent, and adds what came of it.
    pub(super) async fn wait(self, outcome: &mut Outcome, stop: &mut Stop, say: impl Fn(&str)) {
        let mut wait = match self {
            Begun::Here(wait) => wait,
            Begun::Not(check) => return outcome.data.checks.push(check),
        };
        wait.sent(&outcome.data.channels);
        let end = wait.for_answer(stop, &say).await;
        let (record, mut checks) = wait.close(&end);
        outcome.summary = format!("{}; {}", outcome.summary, sentence(&end));
        outcome.data.escalation = Some(record);
        outcome.data.checks.append(&mut checks);
    }
}

/// What would be done, for people.
pub(super) fn preview(setup: &Setup) -> Vec<String> {
    let escalation = &setup.settings.escalation;
    let step = |step: &Step| {
        let to: Vec<String> = step
            .to
            .iter()
            .map(|(channel, to)| format!("{channel} {}", to.join(", ")))
            .collect();
        let to = to.join("; ");
        format!(
            "after {}, unless somebody acknowledges: {} by {}",
            step.after,
            step.contact,
            to.trim()
        )
    };
    let mut lines: Vec<String> = escalation.steps.iter().map(step).collect();
    lines.push(format!("after {}, it ends", escalation.end));
    lines
}

/// An escalation that this process carries on.
pub(super) struct Wait<'a> {
    setup: &'a Setup,
    open: Open,
    times: Vec<Duration>,
    /// When the latest message was sent, and how long before that it was by the clock on the wall,
    /// where a killed process sent it.
    latest: Instant,
    before: Option<Duration>,
    /// When services were asked.
    asked: Option<Instant>,
    /// An answer that the spool could not take.
    unkept: Option<Acknowledgement>,
    /// Why a channel can't tell who has answered.
    silent: BTreeMap<String, String>,
    checks: Vec<Check>,
}

impl<'a> Wait<'a> {
    pub(super) fn new(setup: &'a Setup, open: Open, checks: Vec<Check>) -> Wait<'a> {
        Wait {
            setup,
            times: setup.settings.escalation.times(),
            latest: Instant::now(),
            before: open.kept.position(Time::now()).since,
            open,
            asked: None,
            unkept: None,
            silent: BTreeMap::new(),
            checks,
        }
    }

    /// Takes in what became of the first message.
    fn sent(&mut self, first: &[ChannelResult]) {
        let kept = self.open.sent(first);
        self.checks
            .extend(kept.err().map(|error| trouble(&error.to_string())));
    }

    /// Carries it on until it ends.
    async fn for_answer(&mut self, stop: &mut Stop, say: &impl Fn(&str)) -> End {
        say(&format!(
            "waiting for an acknowledgement until {} after the first message",
            self.setup.settings.escalation.end
        ));
        loop {
            // Before anybody is told: whoever is stopped tells nobody.
            if let Some(signal) = stop.was_told() {
                return End::Stopped(signal);
            }
            let pause = match self.now() {
                Ok(Next::Wait(pause)) => pause,
                Ok(Next::Over) => return End::Unanswered,
                Ok(Next::Tell(number)) => {
                    self.tell(number, say).await;
                    continue;
                }
                Err(end) => return end,
            };
            let quiet = async {
                if self.asked.is_none_or(|asked| asked.elapsed() >= ASK) {
                    // Whoever is slow to answer holds up nobody's turn.
                    let _ = timeout(pause.min(ASK_LIMIT), self.ask()).await;
                    self.asked = Some(Instant::now());
                }
                sleep(pause.min(LOOK)).await;
            };
            tokio::select! {
                signal = stop.told() => return End::Stopped(signal),
                () = quiet => {}
            }
        }
    }

    /// Does what is due, and leaves the rest to another call.
    pub(super) async fn once(&mut self, say: &impl Fn(&str)) -> (Escalation, Vec<Check>, String) {
        let _ = timeout(ASK_LIMIT, self.ask()).await;
        let end = match self.now() {
            Ok(Next::Over) => End::Unanswered,
            Ok(Next::Wait(pause)) => End::Later(Some(pause)),
            Ok(Next::Tell(number)) => {
                self.tell(number, say).await;
                match self.now() {
                    Ok(Next::Wait(pause)) => End::Later(Some(pause)),
                    Ok(_) => End::Later(None),
                    Err(end) => end,
                }
            }
            Err(end) => end,
        };
        let said = sentence(&end);
        let (record, checks) = match end {
            End::Later(_) => self.record(&end),
            _ => self.close(&end),
        };
        (record, checks, said)
    }

    /// What is to be done now; else why nothing is.
    fn now(&mut self) -> Result<Next, End> {
        if let Some(answer) = self.answer() {
            return Err(End::Acknowledged(answer));
        }
        let kept = &self.open.kept;
        let spool = self.setup.spool.as_ref();
        if spool.is_some_and(|spool| spool.is_over(&kept.message.run, kept.started)) {
            return Err(End::RunOver);
        }
        let position = Position {
            told: kept.told.len(),
            in_vain: kept.in_vain(),
            since: self.before.map(|before| before + self.latest.elapsed()),
        };
        Ok(next(
            &self.times,
            self.setup.settings.escalation.end.0,
            position,
        ))
    }

    /// The answer that the spool holds, whoever wrote it there; else one that it could not take.
    fn answer(&mut self) -> Option<Acknowledgement> {
        let event = &self.open.kept.message.event;
        let kept = self.setup.spool.as_ref().map(|spool| spool.answer(event));
        let kept = kept.transpose().unwrap_or_else(|error| {
            self.silent.insert("link".to_owned(), error.to_string());
            None
        });
        let kept = kept.flatten().map(|answered| answered.acknowledgement);
        kept.or_else(|| self.unkept.clone())
    }

    /// Tells the contact of a step.
    async fn tell(&mut self, number: usize, say: &impl Fn(&str)) {
        let setup = self.setup;
        let step = &setup.settings.escalation.steps[number];
        let kept = &self.open.kept;
        let message = escalation::step(&kept.message, &step.contact, &kept.told, &setup.clock);
        let (time, began) = (Time::now(), Instant::now());
        let channels = tell_contact(setup, &message, &step.to, &mut self.checks).await;
        say(&format!(
            "{}: {}",
            line(&step.contact),
            verdict::summary(&channels)
        ));
        let contact = step.contact.clone();
        let told = EscalationStep {
            contact,
            time,
            channels,
        };
        let kept = self.open.told(told);
        self.checks
            .extend(kept.err().map(|error| trouble(&error.to_string())));
        (self.latest, self.before) = (began, Some(Duration::ZERO));
    }

    /// Asks the services who has answered, all at the same time.
    async fn ask(&mut self) {
        let setup = self.setup;
        let watch = Watch::new(Instant::now() + ASK_LIMIT, None);
        let questions = self.open.kept.receipts().filter_map(|(name, receipt)| {
            let channel = setup.channel(name)?.channel.as_ref().ok()?;
            let knows = channel.knows_acknowledgements();
            knows
                .then_some(async { (name.to_owned(), channel.acknowledged(receipt, &watch).await) })
        });
        for (name, answer) in join_all(questions).await {
            match answer {
                Ok(None) => {
                    self.silent.remove(&name);
                }
                Ok(Some(by)) => self.acknowledged(name, by),
                Err(answer) => {
                    self.silent.insert(name, answer.words);
                }
            }
        }
    }

    fn acknowledged(&mut self, via: String, by: Acknowledged) {
        let acknowledgement = Acknowledgement {
            by: by.by,
            via,
            time: by.time.unwrap_or_else(Time::now),
        };
        let message = &self.open.kept.message;
        let spool = self.setup.spool.as_ref();
        let kept = spool.map(|spool| spool.acknowledge(message, acknowledgement.clone()));
        if let Some(Err(error)) = kept {
            self.checks.push(trouble(&error.to_string()));
        }
        self.unkept = Some(acknowledgement);
    }

    /// Nobody is waited for any more.
    fn close(&mut self, end: &End) -> (Escalation, Vec<Check>) {
        let closed = self.open.end();
        self.checks
            .extend(closed.err().map(|error| trouble(&error.to_string())));
        self.record(end)
    }

    fn record(&mut self, end: &End) -> (Escalation, Vec<Check>) {
        let told = &self.open.kept.told;
        let mut checks = vec![check(end, told, self.setup.settings.escalation.end)];
        checks.append(&mut self.checks);
        for step in told {
            let failed = |result: &&ChannelResult| result.outcome != ChannelOutcome::Sent;
            checks.extend(step.channels.iter().filter(failed).map(|result| {
                let why = format!("{}: {}", result.channel, result.detail);
                Check::new("notify.escalation", &step.contact, Status::Warn, why).hint("call them")
            }));
        }
        checks.extend(self.silent.iter().map(|(channel, why)| {
            let why = format!("it does not tell who has acknowledged: {why}");
            Check::new("notify.escalation", channel, Status::Warn, why)
        }));
        let record = Escalation {
            told: told.clone(),
            acknowledged: match end {
                End::Acknowledged(answer) => Some(answer.clone()),
                _ => None,
            },
            end: match end {
                End::Acknowledged(_) => EscalationEnd::Acknowledged,
                End::RunOver => EscalationEnd::RunOver,
                End::Stopped(_) => EscalationEnd::Stopped,
                End::Unanswered => EscalationEnd::Unanswered,
                End::Later(_) => EscalationEnd::GoesOn,
            },
        };
        (record, checks)
    }
}

/// The end in a sentence.
fn sentence(end: &End) -> String {
    match end {
        End::Acknowledged(answer) => format!(
            "acknowledged by {} ({}) at {}",
            answer.by,
            answer.via,
            answer.time.human()
        ),
        End::RunOver => "the run is over, so nobody is waited for any more".to_owned(),
        End::Stopped(signal) => {
            format!("stopped by {signal} before anybody acknowledged it; nobody else is told")
        }
        End::Unanswered => "nobody has acknowledged it".to_owned(),
        End::Later(pause) => {
            let when = pause.map_or_else(
                || "now".to_owned(),
                |pause| format!("in {} s", pause.as_secs()),
            );
            format!("nobody has acknowledged it yet; the next turn is {when}")
        }
    }
}

fn check(end: &End, told: &[EscalationStep], limit: Span) -> Check {
    let contacts: Vec<String> = told.iter().map(|step| line(&step.contact)).collect();
    let contacts = match &contacts[..] {
        [] => "no contact was told".to_owned(),
        some => format!("told: {}", some.join(", ")),
    };
    let why = format!("{} ({contacts})", sentence(end));
    match end {
        End::Acknowledged(_) => Check::pass(ID, "", why),
        End::RunOver => Check::skipped(ID, "", why),
        End::Stopped(_) => Check::unknown(ID, "", why)
            .hint("call the contacts, or start the same command again: it goes on"),
        End::Unanswered => {
            Check::fail(ID, "", format!("{why} within {limit}")).hint("call the contacts by phone")
        }
        End::Later(_) => Check::unknown(ID, "", why)
            .hint("the process that waited was killed; chaos-notify flush carries it on"),
    }
}
