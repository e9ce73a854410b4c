//! The channels, one file each. A channel is made ready, then shown or used.

pub(crate) mod alertmanager;
mod error;
mod http;
pub(crate) mod mail;
pub(crate) mod pagerduty;
mod scrub;
mod service;
mod settings;
pub(crate) mod slack;
pub(crate) mod status_page;
pub(crate) mod teams;
pub(crate) mod webhook;

use std::time::Duration;

use chaos_common::record::Time;
use futures::future::{LocalBoxFuture, ready};

pub(crate) use self::error::ChannelError;
use self::service::Served;
pub(crate) use self::settings::ChannelSettings;
use crate::delivery::{Answer, Pace, Watch};
use crate::settings::{NameError, Settings};
use crate::template::Message;

/// A way to reach people.
pub(crate) trait Channel {
    /// Where a message goes, without a secret.
    fn to(&self, message: &Message) -> String;

    /// Refuses addresses that a message can't be sent to here instead of the channel's own.
    ///
    /// # Errors
    /// One is none, or the channel has no others.
    fn check_addresses(&self, addresses: &[String]) -> Result<(), ChannelError> {
        no_others(addresses)
    }

    /// The recipients, where the other side answers for each of them.
    fn recipients(&self, _message: &Message) -> Vec<String> {
        Vec::new()
    }

    /// Why a message is none of its concern; nothing where it is.
    fn unconcerned(&self, _message: &Message) -> Option<&'static str> {
        None
    }

    /// It shows how things are, so that an older message is overtaken by a later one.
    fn shows_state(&self) -> bool {
        false
    }

    /// The shortest time between two tries, by its service's rate limit.
    fn interval(&self) -> Duration {
        Duration::ZERO
    }

    /// What would be sent, for people, without a secret.
    fn preview(&self, message: &Message) -> String;

    /// Tries once, for those who have not got it yet.
    fn attempt<'a>(
        &'a self,
        message: &'a Message,
        pending: &'a [String],
        watch: &'a Watch,
    ) -> LocalBoxFuture<'a, Vec<Answer>>;

    /// Whether its service knows who has acknowledged a message.
    fn knows_acknowledgements(&self) -> bool {
        false
    }

    /// Who has acknowledged the message of this receipt, if anybody has; else why nobody can tell.
    fn acknowledged<'a>(
        &'a self,
        _receipt: &'a str,
        _watch: &'a Watch,
    ) -> LocalBoxFuture<'a, Result<Option<Acknowledged>, Answer>> {
        Box::pin(ready(Ok(None)))
    }
}

/// Refuses any addresses, for a channel that has no others than its own.
fn no_others(addresses: &[String]) -> Result<(), ChannelError> {
    match addresses {
        [] => Ok(()),
        _ => Err(ChannelError::NoOtherAddresses),
    }
}

/// Who has acknowledged a message, as a service knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) by: String,
    /// When, if the service says.
    pub(crate) time: Option<Time>,
}

/// A channel that is configured.
pub(crate) struct Configured {
    /// Its name.
    pub(crate) name: String,
    /// The channel, or why it can't carry a message.
    pub(crate) channel: Result<Box<dyn Channel>, ChannelError>,
    pub(crate) pace: Pace,
}

/// Every configured channel. What one lacks does not stop the others.
///
/// # Errors
/// Their names are not good: see [`Settings::names`].
pub(crate) fn all(settings: &Settings) -> Result<Vec<Configured>, NameError> {
    fn boxed<C: Channel + 'static>(
        channel: Result<C, ChannelError>,
    ) -> Result<Box<dyn Channel>, ChannelError> {
        channel.map(|channel| Box::new(channel) as Box<dyn Channel>)
    }
    let names = settings.names()?;
    let mut made = Vec::new();
    made.extend(settings.mail.0.iter().map(|s| boxed(mail::Mail::new(s))));
    let slack = settings.slack.0.iter().zip(names.iter().skip(made.len()));
    let slack: Vec<_> = slack
        .map(|(s, name)| boxed(slack::Slack::new(s, name).and_then(Served::new)))
        .collect();
    made.extend(slack);
    let pages = settings.status_page.0.iter().map(status_page::channel);
    made.extend(pages);
    let webhooks = settings.webhook.0.iter();
    made.extend(webhooks.map(|s| boxed(webhook::Webhook::new(s).and_then(Served::new))));
    let on_call = settings.pagerduty.0.iter();
    made.extend(on_call.map(|s| boxed(pagerduty::PagerDuty::new(s).and_then(Served::new))));
    let teams = settings.teams.0.iter();
    made.extend(teams.map(|s| boxed(teams::Teams::new(s).and_then(Served::new))));
    let silences = settings.alertmanager.0.iter();
    made.extend(silences.map(|s| boxed(alertmanager::Alertmanager::new(s))));
    let channels = names.into_iter().zip(made);
    Ok(channels
        .map(|(name, channel)| {
            let interval = channel.as_ref().map(|channel| channel.interval());
            let pace = Pace::new(interval.unwrap_or_default());
            Configured {
                name,
                channel,
                pace,
            }
        })
        .collect())
}
