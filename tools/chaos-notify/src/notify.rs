//! One notification: the message, its way over every channel, and the record of it.

use chaos_common::config::Config;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{
    ChannelOutcome, ChannelResult, Check, Notification, Occasion, Status, Time, Verdict,
};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;
use futures::future::join_all;

use crate::Command;
use crate::channels::{self, Channel};
use crate::facts::Facts;
use crate::message::{Message, contacts};
use crate::occasions::{aborted, completed, critical, monthly, scheduled};
use crate::retry::Delivery;

/// Reads the stream, tells everyone, and adds the record of it.
pub(crate) async fn run(
    config: &Config,
    format: Option<Format>,
    dry_run: bool,
    occasion: &Command,
) -> Result<Exit, Failure> {
    let mut stream = Stream::open(tool!(), format)?;
    let facts = Facts::of(&stream.upstream);
    let mut checks: Vec<Check> = stream.upstream.check().into_iter().collect();
    let message = match compose(&facts, config, occasion) {
        Ok(message) => message,
        Err(check) => {
            let summary = format!("nothing was sent: {}", check.message);
            checks.push(*check);
            let data = empty(occasion, checks);
            return Ok(stream.result(Verdict::Unknown, summary, data, Exit::Unknown));
        }
    };
    let channels = channels::ready(config, &message, &stream.run);
    checks.extend(message.gaps.iter().cloned());
    checks.extend(left_out(config, &message, &channels));
    let results = if dry_run {
        show(&stream, &channels);
        checks.extend(channels.iter().map(unsent));
        Vec::new()
    } else {
        let results = send(&channels).await;
        checks.extend(results.iter().map(check));
        results
    };
    let verdict = Verdict::of(&checks);
    let summary = summary(&results, dry_run);
    let data = Notification {
        occasion: message.occasion,
        subject: message.subject.to_owned(),
        text: message.text,
        contacts: if message.names_contacts {
            contacts(config)
        } else {
            Vec::new()
        },
        channels: results,
        checks,
    };
    Ok(stream.result(verdict, summary, data, verdict.into()))
}

fn compose(facts: &Facts, config: &Config, occasion: &Command) -> Result<Message, Box<Check>> {
    let now = Time::now();
    Ok(match occasion {
        Command::Scheduled(args) => scheduled::message(facts, config, args, now),
        Command::Completed => completed::message(facts),
        Command::Aborted(args) => aborted::message(facts, config, args, now),
        Command::Critical(args) => critical::message(facts, config, args, now),
        Command::Monthly => monthly::message(facts)?,
    })
}

/// The record of a message that could not be made.
fn empty(occasion: &Command, checks: Vec<Check>) -> Notification {
    let occasion = match occasion {
        Command::Scheduled(_) => Occasion::Scheduled,
        Command::Completed => Occasion::Completed,
        Command::Aborted(_) => Occasion::Aborted,
        Command::Critical(_) => Occasion::Critical,
        Command::Monthly => Occasion::Monthly,
    };
    let (subject, text) = (String::new(), String::new());
    Notification {
        occasion,
        subject,
        text,
        contacts: Vec::new(),
        channels: Vec::new(),
        checks,
    }
}

/// Checks of what is not told anybody by intent or by lack of configuration.
fn left_out(config: &Config, message: &Message, channels: &[Channel]) -> Vec<Check> {
    let mut checks = Vec::new();
    if config.notify.status_page.is_some() && message.page.is_none() {
        checks.push(Check::skipped(
            "notify.status-page",
            "",
            "this occasion changes nothing on a status page",
        ));
    }
    if channels.is_empty() {
        let check = Check::unknown(
            "notify.channels",
            "",
            "no channel is configured: nobody was told",
        );
        checks.push(
            check.hint("configure notify.mail, notify.slack or notify.status_page in chaos.toml"),
        );
    }
    checks
}

/// Sends on all channels at the same time.
async fn send(channels: &[Channel]) -> Vec<ChannelResult> {
    let sends = channels.iter().map(async |channel| {
        let delivery = match &channel.carrier {
            Ok(carrier) => carrier.send().await,
            Err(why) => Delivery {
                outcome: ChannelOutcome::Failed,
                attempts: 0,
                detail: why.clone(),
            },
        };
        ChannelResult {
            channel: channel.name.to_owned(),
            to: channel.to.clone(),
            outcome: delivery.outcome,
            attempts: delivery.attempts,
            detail: delivery.detail,
        }
    });
    join_all(sends).await
}

fn show(stream: &Stream, channels: &[Channel]) {
    for channel in channels {
        match &channel.carrier {
            Ok(carrier) => stream.progress(&format!("would send: {}", carrier.preview())),
            Err(why) => stream.progress(&format!("could not send by {}: {why}", channel.name)),
        }
    }
}

/// The check of a channel in a dry run.
fn unsent(channel: &Channel) -> Check {
    let id = format!("notify.{}", channel.name);
    match &channel.carrier {
        Ok(_) => Check::skipped(&id, &channel.to, "dry run: nothing was sent"),
        Err(why) => Check::fail(&id, &channel.to, why),
    }
}

/// The check of a channel that was used.
fn check(result: &ChannelResult) -> Check {
    let status = match result.outcome {
        ChannelOutcome::Sent => Status::Pass,
        ChannelOutcome::Failed => Status::Fail,
        ChannelOutcome::Unknown => Status::Unknown,
    };
    let tries = if result.attempts > 1 {
        format!(" (tried {} times)", result.attempts)
    } else {
        String::new()
    };
    let id = format!("notify.{}", result.channel);
    let check = Check::new(&id, &result.to, status, format!("{}{tries}", result.detail));
    match result.outcome {
        ChannelOutcome::Unknown => check.hint("ask somebody there whether it arrived"),
        ChannelOutcome::Failed => check.hint("tell them by hand, then repair the channel"),
        ChannelOutcome::Sent => check,
    }
}

fn summary(results: &[ChannelResult], dry_run: bool) -> String {
    if dry_run {
        return "dry run: nothing was sent".to_owned();
    }
    let sent = results
        .iter()
        .filter(|result| result.outcome == ChannelOutcome::Sent)
        .count();
    let bad = results
        .iter()
        .find(|result| result.outcome != ChannelOutcome::Sent);
    let bad = bad
        .map(|result| format!("; {}: {}", result.channel, result.detail))
        .unwrap_or_default();
    format!("sent on {sent} of {} channels{bad}", results.len())
}
