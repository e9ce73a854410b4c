//! Mail, by SMTP.

mod dialogue;
mod letter;

use std::net::IpAddr;

use chaos_common::config::{Mail, MailTls};
use chaos_common::record::Occasion;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;

use super::error::ChannelError;
use crate::template::Message;

/// A mail that is ready to be sent.
pub(crate) struct Letter {
    host: String,
    port: u16,
    tls: MailTls,
    credentials: Option<Credentials>,
    from: Mailbox,
    to: Vec<Mailbox>,
    subject: &'static str,
    text: String,
    bytes: Vec<u8>,
}

/// Who gets a mail on this occasion.
pub(crate) fn recipients(settings: &Mail, occasion: Occasion) -> Vec<String> {
    match occasion {
        Occasion::Critical => settings.management.clone(),
        Occasion::Monthly => settings
            .team
            .iter()
            .chain(&settings.management)
            .cloned()
            .collect(),
        Occasion::Scheduled | Occasion::Completed | Occasion::Aborted => settings.team.clone(),
    }
}

impl Letter {
    /// A mail with the message.
    ///
    /// # Errors
    /// An address is none, nobody would get it, or the password can't be read or would travel in
    /// the clear.
    pub(crate) fn new(
        settings: &Mail,
        message: &Message,
        run: &str,
    ) -> Result<Letter, ChannelError> {
        let from = address("notify.mail.from", &settings.from)?;
        let to = mailboxes(settings, message.occasion)?;
        let bytes = letter::bytes(&from, &to, message, run)?;
        let port = settings.port.unwrap_or(match settings.tls {
            MailTls::Tls => 465,
            MailTls::Starttls => 587,
            MailTls::None => 25,
        });
        Ok(Letter {
            host: settings.host.clone(),
            port,
            tls: settings.tls,
            credentials: credentials(settings)?,
            from,
            to,
            subject: message.subject,
            text: message.text.clone(),
            bytes,
        })
    }

    /// What would be sent, for people, without a secret.
    pub(crate) fn preview(&self) -> String {
        let to: Vec<String> = self.to.iter().map(Mailbox::to_string).collect();
        let to = to.join(", ");
        format!(
            "mail by {}:{}\nFrom: {}\nTo: {to}\nSubject: {}\n\n{}",
            self.host, self.port, self.from, self.subject, self.text
        )
    }
}

/// The recipients, each once.
fn mailboxes(settings: &Mail, occasion: Occasion) -> Result<Vec<Mailbox>, ChannelError> {
    let key = match occasion {
        Occasion::Critical => "notify.mail.management",
        _ => "notify.mail.team",
    };
    let mut to: Vec<Mailbox> = Vec::new();
    for text in recipients(settings, occasion) {
        let mailbox = address(key, &text)?;
        if to.iter().all(|known| known.email != mailbox.email) {
            to.push(mailbox);
        }
    }
    if to.is_empty() {
        return Err(ChannelError::NoRecipient { key });
    }
    Ok(to)
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

fn credentials(settings: &Mail) -> Result<Option<Credentials>, ChannelError> {
    let Some(user) = &settings.user else {
        return Ok(None);
    };
    let Some(password) = &settings.password else {
        return Err(ChannelError::NoPassword);
    };
    let host = settings.host.trim_matches(['[', ']']);
    let local = host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if settings.tls == MailTls::None && !local {
        let host = host.to_owned();
        return Err(ChannelError::PasswordInTheClear { host });
    }
    let password = password.read().map_err(ChannelError::Secret)?;
    Ok(Some(Credentials::new(user.clone(), password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Mail {
        Mail {
            host: "mail.example.com".into(),
            port: None,
            tls: MailTls::None,
            user: None,
            password: None,
            from: "chaos@company.com".into(),
            team: vec!["Team <team@company.com>".into()],
            management: vec!["management@company.com".into(), "team@company.com".into()],
        }
    }

    fn message(occasion: Occasion) -> Message {
        Message {
            occasion,
            subject: "Subject",
            text: "Experiment: ü\r\nBcc: evil@example.com\n.\nend\n".into(),
            short: String::new(),
            page: None,
            names_contacts: false,
            gaps: Vec::new(),
        }
    }

    fn headers(run: &str, occasion: Occasion) -> String {
        let letter = Letter::new(&settings(), &message(occasion), run).expect("good settings");
        let text = String::from_utf8(letter.bytes).expect("ASCII");
        text.split("\r\n\r\n").next().expect("a head").to_owned()
    }

    #[test]
    fn text_from_the_stream_makes_no_header() {
        let head = headers("r\r\nBcc: evil@example.com", Occasion::Scheduled);
        assert!(!head.contains("Bcc:") && !head.contains("evil@"), "{head}");
        assert!(head.contains("Subject: Subject\r\n"), "{head}");
    }

    #[test]
    fn addresses_with_line_breaks_are_refused() {
        let text = "team@company.com\r\nBcc: evil@example.com";
        let mut bad = settings();
        bad.team = vec![text.into()];
        let error = Letter::new(&bad, &message(Occasion::Scheduled), "r")
            .err()
            .expect("refused");
        assert_eq!(
            error.to_string(),
            "notify.mail.team holds a control character"
        );
        bad = settings();
        bad.from = "nobody".into();
        let error = Letter::new(&bad, &message(Occasion::Scheduled), "r")
            .err()
            .expect("refused");
        assert!(
            error
                .to_string()
                .contains("notify.mail.from: \"nobody\" is no mail address"),
            "{error}"
        );
    }

    #[test]
    fn a_repeat_carries_the_same_id_and_another_occasion_does_not() {
        assert!(
            headers("r-1", Occasion::Scheduled).contains("Message-ID: <r-1.scheduled@company.com>")
        );
        assert!(
            headers("r-1", Occasion::Completed).contains("Message-ID: <r-1.completed@company.com>")
        );
    }

    #[test]
    fn nobody_gets_a_mail_twice_and_management_gets_what_is_theirs() {
        let to = |occasion| {
            let letter = Letter::new(&settings(), &message(occasion), "r").expect("good settings");
            letter
                .to
                .iter()
                .map(|to| to.email.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(to(Occasion::Aborted), ["team@company.com"]);
        assert_eq!(
            to(Occasion::Monthly),
            ["team@company.com", "management@company.com"]
        );
        assert_eq!(
            to(Occasion::Critical),
            ["management@company.com", "team@company.com"]
        );
        let mut nobody = settings();
        nobody.management.clear();
        let error = Letter::new(&nobody, &message(Occasion::Critical), "r")
            .err()
            .expect("refused");
        assert_eq!(error.to_string(), "notify.mail.management names nobody");
    }

    #[test]
    fn a_password_does_not_travel_in_the_clear() {
        let mut open = settings();
        open.user = Some("u".into());
        open.password = Some(chaos_common::config::Secret::Env(
            "CHAOS_TEST_NO_SUCH".into(),
        ));
        let error = Letter::new(&open, &message(Occasion::Scheduled), "r")
            .err()
            .expect("refused");
        assert!(error.to_string().contains("unencrypted"), "{error}");
        open.tls = MailTls::Tls;
        let error = Letter::new(&open, &message(Occasion::Scheduled), "r")
            .err()
            .expect("refused");
        assert!(error.to_string().contains("CHAOS_TEST_NO_SUCH"), "{error}");
    }
}
