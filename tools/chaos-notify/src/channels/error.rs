//! Why a channel can't carry a message.

use std::path::PathBuf;
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
    #[error("it has no other addresses than its own")]
    NoOtherAddresses,
    #[error("{0:?} is no conversation: give one, by its id or as #name")]
    NotAConversation(String),
    #[error("it sends to one conversation, by a token, and not to {0}")]
    NotOneConversation(usize),
    #[error("notify.mail.user is given, and notify.mail.password is not")]
    NoPassword,
    #[error("the password is not sent to {host} unencrypted; set notify.mail.tls")]
    PasswordInTheClear { host: String },
    #[error("the token is not sent to {host} unencrypted")]
    TokenInTheClear { host: String },
    #[error("the secret is not a URL: {0}")]
    NotAUrl(#[source] <Url as FromStr>::Err),
    #[error("the secret is not a URL of http or https")]
    NotHttp,
    #[error("the token holds characters that a header can't hold")]
    BadToken,
    #[error("the secret of a webhook is base64, after whsec_ or alone")]
    BadKey,
    #[error("{key} is missing: {why}")]
    Missing {
        key: &'static str,
        why: &'static str,
    },
    #[error("proxy is no URL of a proxy without a password in it")]
    BadProxy,
    #[error("mail goes through a proxy of http:// or socks5://, and no other")]
    NoMailProxy,
    #[error("cannot read the certificates in {}: {why}", .path.display())]
    Certificates { path: PathBuf, why: String },
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}
