//! Mail, by SMTP.

mod connection;
mod dialogue;
mod hello;
mod letter;
mod proxy;

use std::path::PathBuf;

use chaos_common::config::Secret;
use chaos_common::record::Occasion;
use futures::future::LocalBoxFuture;
use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use schemars::JsonSchema;
use serde::Deserialize;

use self::letter::Letter;
use self::proxy::Proxy;
use super::error::ChannelError;
use super::http::is_local;
use super::scrub::Scrub;
use super::{Channel, ChannelSettings};
use crate::delivery::{Answer, Watch};
use crate::template::Message;

/// `[notify.mail]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Its name in routes and records; `mail` if left out.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The SMTP server.
    pub(crate) host: String,
    /// Its port; by default 465 for `tls`, 587 for `starttls`, 25 for `none`.
    #[serde(default)]
    pub(crate) port: Option<u16>,
    /// Encryption: `starttls` (default), `tls` or `none`.
    #[serde(default)]
    pub(crate) tls: Encryption,
    /// Certificates that are trusted instead of the system's (PEM).
    #[serde(default)]
    pub(crate) ca: Option<PathBuf>,
    /// The proxy to the server: `http://HOST:PORT` or `socks5://HOST:PORT`. That of the environment is
    /// for the web, and is not taken.
    #[serde(default)]
    pub(crate) proxy: Option<String>,
    /// The name that this machine gives in EHLO; its own full name or its address if left out.
    #[serde(default)]
    pub(crate) hello: Option<String>,
    /// User to log in as; no login if left out.
    #[serde(default)]
    pub(crate) user: Option<String>,
    /// That user's password.
    #[serde(default)]
    pub(crate) password: Option<Secret>,
    /// Sender.
    pub(crate) from: String,
    /// Who gets every message.
    pub(crate) team: Vec<String>,
    /// Who gets `critical` and `monthly` besides.
    #[serde(default)]
    pub(crate) management: Vec<String>,
}

impl ChannelSettings for Settings {
    fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn ca(&mut self) -> Option<&mut PathBuf> {
        self.ca.as_mut()
    }

    fn secrets(&mut self) -> Vec<&mut Secret> {
        self.password.as_mut().into_iter().collect()
    }
}

/// How mail is encrypted on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Encryption {
    /// Plain first, then encrypted; a server that doesn't offer it is refused.
    #[default]
    Starttls,
    /// Encrypted from the first byte.
    Tls,
    /// Not encrypted. For a server on the same machine.
    None,
}

/// A mail server, ready for messages.
pub(crate) struct Mail {
    host: String,
    port: u16,
    tls: Encryption,
    /// Certificates that are trusted instead of the system's.
    ca: Option<Vec<u8>>,
    proxy: Option<Proxy>,
    hello: Option<String>,
    credentials: Option<Credentials>,
    scrub: Scrub,
    from: Mailbox,
    team: Vec<Mailbox>,
    management: Vec<Mailbox>,
}

impl Mail {
    /// # Errors
    /// An address or the proxy is none, or the password can't be read or would travel in the clear.
    pub(super) fn new(settings: &Settings) -> Result<Mail, ChannelError> {
        let addresses = |key, texts: &[String]| -> Result<Vec<Mailbox>, ChannelError> {
            texts.iter().map(|text| address(key, text)).collect()
        };
        let password = password(settings)?;
        let user = settings.user.clone().zip(password.clone());
        let port = settings.port.unwrap_or(match settings.tls {
            Encryption::Tls => 465,
            Encryption::Starttls => 587,
            Encryption::None => 25,
        });
        let team = addresses("notify.mail.team", &settings.team)?;
        if team.is_empty() {
            let key = "notify.mail.team";
            return Err(ChannelError::NoRecipient { key });
        }
        let proxy = settings.proxy.as_deref();
        let proxy = proxy.map(|url| Proxy::new(url, settings.tls, settings.ca.as_deref()));
        Ok(Mail {
            host: settings.host.clone(),
            port,
            tls: settings.tls,
            ca: settings.ca.as_ref().map(certificates).transpose()?,
            proxy: proxy.transpose()?,
            hello: settings.hello.clone(),
            credentials: user.map(|(user, password)| Credentials::new(user, password)),
            scrub: Scrub::of(password),
            from: address("notify.mail.from", &settings.from)?,
            team,
            management: addresses("notify.mail.management", &settings.management)?,
        })
    }

    /// Who gets a message, each once: those that it is addressed to; else those of its occasion.
    fn mailboxes(&self, message: &Message) -> Vec<Mailbox> {
        if message.addresses.is_empty() {
            let all = self.all_of(message.occasion).into_iter();
            return all.cloned().collect();
        }
        let mut each: Vec<Mailbox> = Vec::new();
        // What is none was refused when the configuration was read.
        for mailbox in message.addresses.iter().filter_map(|to| to.parse().ok()) {
            add_once(&mut each, mailbox, |mailbox: &Mailbox| &mailbox.email);
        }
        each
    }

    /// Who gets a mail on this occasion, each once; management first where it is theirs.
    fn all_of(&self, occasion: Occasion) -> Vec<&Mailbox> {
        let escalated = matches!(occasion, Occasion::Critical | Occasion::Test);
        let all: Vec<&Mailbox> = match occasion {
            _ if escalated => self.management.iter().chain(&self.team).collect(),
            Occasion::Monthly => self.team.iter().chain(&self.management).collect(),
            _ => self.team.iter().collect(),
        };
        let mut each: Vec<&Mailbox> = Vec::new();
        for mailbox in all {
            add_once(&mut each, mailbox, |mailbox| &mailbox.email);
        }
        each
    }

    /// The mailboxes of these addresses.
    fn those(&self, message: &Message, addresses: &[String]) -> Vec<Mailbox> {
        let all = self.mailboxes(message).into_iter();
        all.filter(|mailbox| addresses.contains(&mailbox.email.to_string()))
            .collect()
    }
}

impl Channel for Mail {
    fn to(&self, message: &Message) -> String {
        let to = self.mailboxes(message);
        let to: Vec<String> = to.iter().map(Mailbox::to_string).collect();
        to.join(", ")
    }

    fn check_addresses(&self, addresses: &[String]) -> Result<(), ChannelError> {
        let checked = addresses
            .iter()
            .map(|text| address("address", text).map(drop));
        checked.collect()
    }

    fn recipients(&self, message: &Message) -> Vec<String> {
        let to = self.mailboxes(message).into_iter();
        to.map(|mailbox| mailbox.email.to_string()).collect()
    }

    fn preview(&self, message: &Message) -> String {
        let attached = message.attachment.as_ref();
        let attached = attached.map(|file| format!("\nAttached: {}", file.name));
        format!(
            "mail by {}:{}\nFrom: {}\nTo: {}\nSubject: {}{}\n\n{}",
            self.host,
            self.port,
            self.from,
            self.to(message),
            message.wording.subject,
            attached.unwrap_or_default(),
            message.text()
        )
    }

    fn attempt<'a>(
        &'a self,
        message: &'a Message,
        pending: &'a [String],
        watch: &'a Watch,
    ) -> LocalBoxFuture<'a, Vec<Answer>> {
        Box::pin(async move {
            // All that were meant to get it stand in the head, also where only some are left.
            let letter = Letter {
                from: &self.from,
                to: &self.mailboxes(message),
                message,
            };
            match letter.bytes() {
                Ok(bytes) => {
                    let receipt = letter.id();
                    let answers = self.dialogue(message, pending, &bytes, watch).await;
                    let receipt = |answer: Answer| match answer.fate {
                        crate::delivery::Fate::Refused => answer,
                        _ => answer.receipt(Some(receipt.clone())),
                    };
                    answers.into_iter().map(receipt).collect()
                }
                Err(error) => vec![Answer::refused(format!("cannot make the mail: {error}"))],
            }
        })
    }
}

/// Adds a mailbox, unless its address is there.
fn add_once<T>(each: &mut Vec<T>, mailbox: T, email: impl Fn(&T) -> &Address) {
    if each.iter().all(|known| email(known) != email(&mailbox)) {
        each.push(mailbox);
    }
}

/// An address of the configuration.
fn address(key: &'static str, text: &str) -> Result<Mailbox, ChannelError> {
    // A line break in an address would begin a header of its own.
    if text.chars().any(char::is_control) {
        return Err(ChannelError::ControlCharacter { key });
    }
    text.parse().map_err(|source| ChannelError::NotAnAddress {
        key,
        text: text.to_owned(),
        source,
    })
}

fn password(settings: &Settings) -> Result<Option<String>, ChannelError> {
    if settings.user.is_none() {
        return Ok(None);
    }
    let Some(password) = &settings.password else {
        return Err(ChannelError::NoPassword);
    };
    if settings.tls == Encryption::None && !is_local(&settings.host) {
        let host = settings.host.clone();
        return Err(ChannelError::PasswordInTheClear { host });
    }
    let password = password.read().map_err(ChannelError::Secret)?;
    Ok(Some(password))
}

fn certificates(path: &PathBuf) -> Result<Vec<u8>, ChannelError> {
    std::fs::read(path).map_err(|error| ChannelError::Certificates {
        path: path.clone(),
        why: error.kind().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            name: None,
            host: "mail.example.com".into(),
            port: None,
            tls: Encryption::None,
            ca: None,
            proxy: None,
            hello: None,
            user: None,
            password: None,
            from: "chaos@company.com".into(),
            team: vec!["Team <team@company.com>".into()],
            management: vec!["management@company.com".into(), "team@company.com".into()],
        }
    }

    fn refused(settings: &Settings) -> String {
        Mail::new(settings).err().expect("refused").to_string()
    }

    #[test]
    fn what_is_no_address_is_refused_by_key() {
        let mut bad = settings();
        bad.team = vec!["team@company.com\r\nBcc: evil@example.com".into()];
        assert_eq!(refused(&bad), "notify.mail.team holds a control character");
        bad = settings();
        bad.from = "nobody".into();
        let error = refused(&bad);
        let part = "notify.mail.from: \"nobody\" is no mail address";
        assert!(error.contains(part), "{error}");
        bad = settings();
        bad.team.clear();
        assert_eq!(refused(&bad), "notify.mail.team names nobody");
    }

    #[test]
    fn nobody_gets_a_mail_twice_and_management_gets_what_is_theirs() {
        let mail = Mail::new(&settings()).expect("good settings");
        let to = |occasion| -> Vec<String> {
            let to = mail.all_of(occasion).into_iter();
            to.map(|to| to.email.to_string()).collect()
        };
        assert_eq!(to(Occasion::Aborted), ["team@company.com"]);
        let both = ["team@company.com", "management@company.com"];
        assert_eq!(to(Occasion::Monthly), both);
        let management_first = ["management@company.com", "team@company.com"];
        assert_eq!(to(Occasion::Critical), management_first);
    }

    #[test]
    fn a_password_does_not_travel_in_the_clear() {
        let mut open = settings();
        open.user = Some("u".into());
        assert_eq!(
            refused(&open),
            "notify.mail.user is given, and notify.mail.password is not"
        );
        open.password = Some(Secret::Env("CHAOS_TEST_NO_SUCH".into()));
        assert!(refused(&open).contains("unencrypted"));
        open.tls = Encryption::Tls;
        assert!(refused(&open).contains("CHAOS_TEST_NO_SUCH"));
    }
}
