//! The channels: each is made ready, then shown or used.

mod error;
mod mail;
mod slack;
mod status_page;
mod webhook;

use chaos_common::config::Config;

use self::error::ChannelError;
use crate::delivery::Delivery;
use crate::template::Message;

/// Something that can carry a message.
pub(crate) enum Carrier {
    Mail(Box<mail::Letter>),
    Webhook(Box<webhook::Post>),
}

impl Carrier {
    /// Sends the message.
    pub(crate) async fn send(&self) -> Delivery {
        match self {
            Carrier::Mail(letter) => letter.send().await,
            Carrier::Webhook(post) => post.send().await,
        }
    }

    /// What would be sent, for people, without a secret.
    pub(crate) fn preview(&self) -> String {
        match self {
            Carrier::Mail(letter) => letter.preview(),
            Carrier::Webhook(post) => post.preview(),
        }
    }
}

/// A channel that is configured.
pub(crate) struct Channel {
    /// `mail`, `slack` or `status-page`.
    pub(crate) name: &'static str,
    /// Mail addresses, or the host of a webhook; empty where even that is not known.
    pub(crate) to: String,
    /// The message on its way, or why it can't be sent.
    pub(crate) carrier: Result<Carrier, ChannelError>,
}

/// Every configured channel, ready for the message. What one lacks does not stop the others.
pub(crate) fn ready(config: &Config, message: &Message, run: &str) -> Vec<Channel> {
    let mut channels = Vec::new();
    if let Some(settings) = &config.notify.mail {
        let letter = mail::Letter::new(settings, message, run);
        let to = mail::recipients(settings, message.occasion).join(", ");
        channels.push(Channel {
            name: "mail",
            to,
            carrier: letter.map(|letter| Carrier::Mail(Box::new(letter))),
        });
    }
    if let Some(settings) = &config.notify.slack {
        channels.push(of_post("slack", slack::post(settings, message)));
    }
    if let (Some(settings), Some(page)) = (&config.notify.status_page, message.page) {
        channels.push(of_post("status-page", status_page::post(settings, page)));
    }
    channels
}

fn of_post(name: &'static str, post: Result<webhook::Post, ChannelError>) -> Channel {
    let to = post
        .as_ref()
        .map(|post| post.host().to_owned())
        .unwrap_or_default();
    Channel {
        name,
        to,
        carrier: post.map(|post| Carrier::Webhook(Box::new(post))),
    }
}
