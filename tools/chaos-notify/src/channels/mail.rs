//! Mail, by SMTP.
//!
//! The dialogue is led here, step by step, because it matters where it breaks: before the end of
//! the message was sent nothing is delivered, and it may be tried again; after that, it may have
//! been.

use std::net::IpAddr;
use std::time::Duration;

use chaos_common::config::{Mail, MailTls};
use chaos_common::record::{ChannelOutcome, Occasion};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Letters};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;

use crate::message::Message;
use crate::retry::{Delivery, Try, deliver};

const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

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
    /// In words without a secret: an address is none, nobody would get it, or the password can't be
    /// read or would travel in the clear.
    pub(crate) fn new(settings: &Mail, message: &Message, run: &str) -> Result<Letter, String> {
        let from = address("notify.mail.from", &settings.from)?;
        let list = if message.occasion == Occasion::Critical {
            "notify.mail.management"
        } else {
            "notify.mail.team"
        };
        let mut to = Vec::new();
        for text in recipients(settings, message.occasion) {
            let mailbox = address(list, &text)?;
            if !to
                .iter()
                .any(|known: &Mailbox| known.email == mailbox.email)
            {
                to.push(mailbox);
            }
        }
        if to.is_empty() {
            return Err(format!("{list} names nobody"));
        }
        let bytes = compose(&from, &to, message, run)?;
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

    pub(crate) fn preview(&self) -> String {
        let to = self
            .to
            .iter()
            .map(Mailbox::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        format!(
            "mail by {}:{}\nFrom: {}\nTo: {to}\nSubject: {}\n\n{}",
            self.host, self.port, self.from, self.subject, self.text
        )
    }

    pub(crate) async fn send(&self) -> Delivery {
        deliver(async |patience, last| self.attempt(patience, last).await).await
    }

    async fn attempt(&self, patience: Duration, last: bool) -> Try {
        let (mut connection, refused) = match self.before_message(patience, last).await {
            Ok(ready) => ready,
            Err(outcome) => return outcome,
        };
        let outcome = match within(patience, connection.message(&self.bytes)).await {
            Ok(response) => accepted(&response, &refused),
            Err(Some(error)) if error.is_transient() => Try::Again(reply(&error), None),
            Err(Some(error)) if error.is_permanent() => Try::Done(ChannelOutcome::Failed, reply(&error)),
            Err(_) => Try::Done(
                ChannelOutcome::Unknown,
                "no answer after the message was sent; it may have arrived, so it is not sent again".to_owned(),
            ),
        };
        // The message's fate is settled; how the connection ends changes nothing.
        let _ = tokio::time::timeout(Duration::from_secs(1), connection.quit()).await;
        outcome
    }

    /// Everything up to the server's leave to send the message: the connection, and the recipients
    /// that it refuses. Nothing is delivered yet when this fails.
    async fn before_message(
        &self,
        patience: Duration,
        last: bool,
    ) -> Result<(AsyncSmtpConnection, Vec<String>), Try> {
        let mut connection = self.connect(patience).await?;
        let from = MailFrom::new(Some(self.from.email.clone()), Vec::new());
        step(patience, "MAIL", connection.command(from)).await?;
        let mut refused = Vec::new();
        for to in &self.to {
            match within(
                patience,
                connection.command(Rcpt::new(to.email.clone(), Vec::new())),
            )
            .await
            {
                Ok(_) => {}
                Err(Some(error)) if error.is_permanent() || (error.is_transient() && last) => {
                    refused.push(format!("{}: {}", to.email, reply(&error)));
                }
                Err(error) => return Err(failed("RCPT", error)),
            }
        }
        if refused.len() == self.to.len() {
            return Err(Try::Done(
                ChannelOutcome::Failed,
                format!("no recipient is accepted: {}", refused.join("; ")),
            ));
        }
        step(patience, "DATA", connection.command(Data)).await?;
        Ok((connection, refused))
    }

    async fn connect(&self, patience: Duration) -> Result<AsyncSmtpConnection, Try> {
        let parameters = || {
            TlsParameters::new_rustls(self.host.clone()).map_err(|error| {
                Try::Done(
                    ChannelOutcome::Failed,
                    format!("cannot set up TLS: {error}"),
                )
            })
        };
        let hello = ClientId::default();
        let at_once = if self.tls == MailTls::Tls {
            Some(parameters()?)
        } else {
            None
        };
        let server = (self.host.as_str(), self.port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(server, Some(patience), &hello, at_once, None);
        let mut connection = step(patience, "connect", connecting).await?;
        if self.tls == MailTls::Starttls {
            if !connection.can_starttls() {
                let text = "the server does not offer STARTTLS, and notify.mail.tls does not allow to go without";
                return Err(Try::Done(ChannelOutcome::Failed, text.to_owned()));
            }
            step(
                patience,
                "STARTTLS",
                connection.starttls(parameters()?, &hello),
            )
            .await?;
        }
        if let Some(credentials) = &self.credentials {
            match within(patience, connection.auth(&MECHANISMS, credentials)).await {
                Ok(_) => {}
                // Its words could repeat what was sent to it.
                Err(Some(error)) if error.is_permanent() => {
                    return Err(Try::Done(
                        ChannelOutcome::Failed,
                        format!("the login is refused ({})", code(&error)),
                    ));
                }
                Err(Some(error)) if error.is_transient() => {
                    return Err(Try::Again(
                        format!("the login is put off ({})", code(&error)),
                        None,
                    ));
                }
                Err(Some(error)) if error.is_client() => {
                    let text = "the server offers no login that this tool knows (PLAIN, LOGIN)";
                    return Err(Try::Done(ChannelOutcome::Failed, text.to_owned()));
                }
                Err(_) => {
                    return Err(Try::Again(
                        "the connection broke during the login".to_owned(),
                        None,
                    ));
                }
            }
        }
        Ok(connection)
    }
}

/// An address of the configuration.
fn address(key: &str, text: &str) -> Result<Mailbox, String> {
    // A line break in an address would begin a header of its own.
    if text.chars().any(char::is_control) {
        return Err(format!("{key} holds a control character"));
    }
    text.parse()
        .map_err(|error| format!("{key}: {text:?} is no mail address: {error}"))
}

fn credentials(settings: &Mail) -> Result<Option<Credentials>, String> {
    let Some(user) = &settings.user else {
        return Ok(None);
    };
    let Some(password) = &settings.password else {
        return Err("notify.mail.user is given, and notify.mail.password is not".to_owned());
    };
    let host = settings.host.trim_matches(['[', ']']);
    let local = host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    if settings.tls == MailTls::None && !local {
        return Err(format!(
            "the password is not sent to {host} unencrypted; set notify.mail.tls"
        ));
    }
    Ok(Some(Credentials::new(user.clone(), password.read()?)))
}

/// The mail as it travels. No header holds text from the stream but for the id, which is made
/// plain.
fn compose(
    from: &Mailbox,
    to: &[Mailbox],
    message: &Message,
    run: &str,
) -> Result<Vec<u8>, String> {
    let id = message_id(run, message.occasion, from.email.domain());
    let builder = Letters::builder()
        .from(from.clone())
        .subject(message.subject)
        .message_id(Some(id));
    let builder = to
        .iter()
        .fold(builder, |builder, to| builder.to(to.clone()));
    let mut letter = builder
        .header(ContentType::TEXT_PLAIN)
        .body(message.text.clone())
        .map_err(|error| format!("cannot make the mail: {error}"))?;
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    letter
        .headers_mut()
        .insert_raw(HeaderValue::new(automatic, "auto-generated".to_owned()));
    Ok(letter.formatted())
}

/// The same for the same run and occasion, so that a repeat is known as one.
fn message_id(run: &str, occasion: Occasion, domain: &str) -> String {
    let plain: String = run
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .take(64)
        .collect();
    let occasion = format!("{occasion:?}").to_lowercase();
    format!("<{plain}.{occasion}@{domain}>")
}

/// Waits for a step of the dialogue; `None` is a time-out.
async fn within<T>(
    patience: Duration,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Option<Error>> {
    match tokio::time::timeout(patience, step).await {
        Ok(result) => result.map_err(Some),
        Err(_) => Err(None),
    }
}

/// A step before the message is sent.
async fn step<T>(
    patience: Duration,
    name: &str,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Try> {
    within(patience, step)
        .await
        .map_err(|error| failed(name, error))
}

/// What an error before the message was sent means: only the server's plain no is final.
fn failed(step: &str, error: Option<Error>) -> Try {
    match error {
        Some(error) if error.is_permanent() => {
            Try::Done(ChannelOutcome::Failed, format!("{step}: {}", reply(&error)))
        }
        Some(error) => Try::Again(format!("{step}: {}", reply(&error)), None),
        None => Try::Again(format!("{step}: no answer in time"), None),
    }
}

fn accepted(response: &Response, refused: &[String]) -> Try {
    let answer = format!(
        "{} {}",
        response.code(),
        crate::facts::line(response.first_line().unwrap_or_default())
    );
    if refused.is_empty() {
        return Try::Done(ChannelOutcome::Sent, answer);
    }
    let text = format!(
        "accepted for some ({answer}), refused for {}",
        refused.join("; ")
    );
    Try::Done(ChannelOutcome::Failed, text)
}

/// The server's answer, or what went wrong, in one line.
fn reply(error: &Error) -> String {
    crate::facts::line(&error.to_string())
}

fn code(error: &Error) -> String {
    error
        .status()
        .map_or_else(|| "no code".to_owned(), |code| code.to_string())
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
        assert_eq!(error, "notify.mail.team holds a control character");
        bad = settings();
        bad.from = "nobody".into();
        let error = Letter::new(&bad, &message(Occasion::Scheduled), "r")
            .err()
            .expect("refused");
        assert!(
            error.contains("notify.mail.from: \"nobody\" is no mail address"),
            "{error}"
        );
    }

    #[test]
    fn a_repeat_carries_the_same_id_and_another_occasion_does_not() {
        assert_eq!(
            message_id("r-1", Occasion::Scheduled, "company.com"),
            "<r-1.scheduled@company.com>"
        );
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
        assert_eq!(error, "notify.mail.management names nobody");
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
        assert!(error.contains("unencrypted"), "{error}");
        open.tls = MailTls::Tls;
        let error = Letter::new(&open, &message(Occasion::Scheduled), "r")
            .err()
            .expect("refused");
        assert!(error.contains("CHAOS_TEST_NO_SUCH"), "{error}");
    }
}
