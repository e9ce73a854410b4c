//! Why a channel can't carry a message.

use std::str::FromStr;

use chaos_common::config::SecretError;
use lettre::address::AddressError;
use reqwest::Url;

/// Why a channel can't carry a message. No variant holds a part of a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChannelError {
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("{key} holds a control character")]
    ControlCharacter { key: &'static str },
    #[error("{key}: {text:?} is no mail address: {source}")]
    NotAnAddress {
        key: &'static str,
        text: String,
        source: AddressError,
    },
    #[error("{key} names nobody")]
    NoRecipient { key: &'static str },
    #[error("notify.mail.user is given, and notify.mail.password is not")]
    NoPassword,
    #[error("the password is not sent to {host} unencrypted; set notify.mail.tls")]
    PasswordInTheClear { host: String },
    #[error("cannot make the mail: {0}")]
    Mail(#[from] lettre::error::Error),
    #[error("the secret is not a URL: {0}")]
    NotAUrl(#[source] <Url as FromStr>::Err),
    #[error("the secret is not a URL of http or https")]
    NotHttp,
    #[error("the token holds characters that a header can't hold")]
    BadToken,
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}
