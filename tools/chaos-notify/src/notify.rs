//! One notification: the message, its way over every channel, and the record of it.

use chaos_common::config::Config;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{
    ChannelOutcome, ChannelResult, Check, Notification, Occasion, Status, Verdict,
};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;
use futures::future::join_all;

use crate::channels::{self, Channel};
use crate::delivery::Delivery;
use crate::facts::Facts;
use crate::occasions::{Command, NoReport};
use crate::template::{Message, contacts};

/// Reads the stream, tells everyone, and adds the record of it.
pub(crate) async fn run(
    config: &Config,
    format: Option<Format>,
    dry_run: bool,
    command: &Command,
) -> Result<Exit, Failure> {
    let mut stream = Stream::open(tool!(), format)?;
    let facts = Facts::of(&stream.upstream);
    let message = match command.compose(&facts, config) {
        Ok(message) => message,
        Err(error) => return Ok(nothing_sent(&mut stream, command.occasion(), &error)),
    };
    let mut checks: Vec<Check> = stream.upstream.check().into_iter().collect();
    let channels = channels::ready(config, &message, &stream.run);
    checks.extend(left_out(config, &message, &channels));
    let results = if dry_run {
        show(&stream, &channels);
        checks.extend(channels.iter().map(unsent));
        Vec::new()
    } else {
        let results = send(&channels).await;
        checks.extend(results.iter().map(channel_check));
        results
    };
    checks.extend(message.gaps);
    let verdict = Verdict::of(&checks);
    let summary = summary(&results, dry_run);
    let named = message.names_contacts.then(|| contacts(config));
    let data = Notification {
        occasion: message.occasion,
        subject: message.subject.to_owned(),
        text: message.text,
        contacts: named.unwrap_or_default(),
        channels: results,
        checks,
    };
    Ok(stream.result(verdict, summary, data, verdict.into()))
}

/// The record of a message that could not be made.
fn nothing_sent(stream: &mut Stream, occasion: Occasion, error: &NoReport) -> Exit {
    let mut checks: Vec<Check> = stream.upstream.check().into_iter().collect();
    checks.push(error.check());
    let data = Notification {
        occasion,
        subject: String::new(),
        text: String::new(),
        contacts: Vec::new(),
        channels: Vec::new(),
        checks,
    };
    let summary = format!("nothing was sent: {error}");
    stream.result(Verdict::Unknown, summary, data, Exit::Unknown)
}

/// Checks of what is not told anybody by intent or by lack of configuration.
fn left_out(config: &Config, message: &Message, channels: &[Channel]) -> Vec<Check> {
    let mut checks = Vec::new();
    if config.notify.status_page.is_some() && message.page.is_none() {
        let why = "this occasion changes nothing on a status page";
        checks.push(Check::skipped("notify.status-page", "", why));
    }
    if channels.is_empty() {
        let why = "no channel is configured: nobody was told";
        checks.push(
            Check::unknown("notify.channels", "", why)
                .hint("configure notify.mail, notify.slack or notify.status_page in chaos.toml"),
        );
    }
    checks
}

/// Sends on all channels at the same time.
async fn send(channels: &[Channel]) -> Vec<ChannelResult> {
    let sends = channels.iter().map(async |channel| {
        let delivery = match &channel.carrier {
            Ok(carrier) => carrier.send().await,
            Err(error) => Delivery {
                outcome: ChannelOutcome::Failed,
                attempts: 0,
                detail: error.to_string(),
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
        let text = match &channel.carrier {
            Ok(carrier) => format!("would send: {}", carrier.preview()),
            Err(error) => format!("could not send by {}: {error}", channel.name),
        };
        stream.progress(&text);
    }
}

/// The check of a channel in a dry run.
fn unsent(channel: &Channel) -> Check {
    let id = format!("notify.{}", channel.name);
    match &channel.carrier {
        Ok(_) => Check::skipped(&id, &channel.to, "dry run: nothing was sent"),
        Err(error) => Check::fail(&id, &channel.to, error.to_string()),
    }
}

/// The check of a channel that was used.
fn channel_check(result: &ChannelResult) -> Check {
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
    let was_sent = |result: &&ChannelResult| result.outcome == ChannelOutcome::Sent;
    let sent = results.iter().filter(was_sent).count();
    let bad = results.iter().find(|result| !was_sent(result));
    let bad = bad
        .map(|result| format!("; {}: {}", result.channel, result.detail))
        .unwrap_or_default();
    format!("sent on {sent} of {} channels{bad}", results.len())
}
