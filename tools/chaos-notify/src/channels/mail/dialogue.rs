//! The SMTP dialogue.
//!
//! It is led here, step by step, because it matters where it breaks: before the end of the message
//! was sent nothing is delivered, and it may be tried again; after that, it may have been.

use std::time::Duration;

use chaos_common::config::MailTls;
use chaos_common::record::ChannelOutcome;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;

use super::Letter;
use crate::delivery::{Attempt, Delivery, deliver};
use crate::template::line;

const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// Said where the message may have arrived.
const NO_ANSWER: &str =
    "no answer after the message was sent; it may have arrived, so it is not sent again";

/// A connection that may carry the message.
struct Ready {
    connection: AsyncSmtpConnection,
    /// Recipients that the server refuses, each with its answer.
    refused: Vec<String>,
}

impl Letter {
    /// Sends the mail.
    pub(crate) async fn send(&self) -> Delivery {
        deliver(async |timeout, last| self.attempt(timeout, last).await).await
    }

    async fn attempt(&self, timeout: Duration, last: bool) -> Attempt {
        let Ready {
            mut connection,
            refused,
        } = match self.before_message(timeout, last).await {
            Ok(ready) => ready,
            Err(outcome) => return outcome,
        };
        let outcome = match within(timeout, connection.message(&self.bytes)).await {
            Ok(response) => accepted(&response, &refused),
            Err(Some(error)) if error.is_transient() => Attempt::Retry(reply(&error), None),
            Err(Some(error)) if error.is_permanent() => rejected(reply(&error)),
            Err(_) => Attempt::Done(ChannelOutcome::Unknown, NO_ANSWER.to_owned()),
        };
        // The message's fate is settled; how the connection ends changes nothing.
        let _ = tokio::time::timeout(Duration::from_secs(1), connection.quit()).await;
        outcome
    }

    /// Everything up to the server's leave to send the message. Nothing is delivered yet when this
    /// fails.
    async fn before_message(&self, timeout: Duration, last: bool) -> Result<Ready, Attempt> {
        let mut connection = self.connect(timeout).await?;
        let from = MailFrom::new(Some(self.from.email.clone()), Vec::new());
        step(timeout, "MAIL", connection.command(from)).await?;
        let mut refused = Vec::new();
        for to in &self.to {
            let recipient = Rcpt::new(to.email.clone(), Vec::new());
            match within(timeout, connection.command(recipient)).await {
                Ok(_) => {}
                Err(Some(error)) if error.is_permanent() || (error.is_transient() && last) => {
                    refused.push(format!("{}: {}", to.email, reply(&error)));
                }
                Err(error) => return Err(broken("RCPT", error)),
            }
        }
        if refused.len() == self.to.len() {
            let answers = refused.join("; ");
            return Err(rejected(format!("no recipient is accepted: {answers}")));
        }
        step(timeout, "DATA", connection.command(Data)).await?;
        Ok(Ready {
            connection,
            refused,
        })
    }

    async fn connect(&self, timeout: Duration) -> Result<AsyncSmtpConnection, Attempt> {
        let hello = ClientId::default();
        let at_once = match self.tls {
            MailTls::Tls => Some(self.tls_parameters()?),
            MailTls::Starttls | MailTls::None => None,
        };
        let server = (self.host.as_str(), self.port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(server, Some(timeout), &hello, at_once, None);
        let mut connection = step(timeout, "connect", connecting).await?;
        if self.tls == MailTls::Starttls {
            if !connection.can_starttls() {
                let why = "the server does not offer STARTTLS, \
                           and notify.mail.tls does not allow to go without";
                return Err(rejected(why.to_owned()));
            }
            let upgrade = connection.starttls(self.tls_parameters()?, &hello);
            step(timeout, "STARTTLS", upgrade).await?;
        }
        if let Some(credentials) = &self.credentials {
            let login = connection.auth(&MECHANISMS, credentials);
            within(timeout, login).await.map_err(login_failed)?;
        }
        Ok(connection)
    }

    fn tls_parameters(&self) -> Result<TlsParameters, Attempt> {
        TlsParameters::new_rustls(self.host.clone())
            .map_err(|error| rejected(format!("cannot set up TLS: {error}")))
    }
}

fn rejected(why: String) -> Attempt {
    Attempt::Done(ChannelOutcome::Failed, why)
}

/// What a login that failed means. The server's words are left out: they could repeat what was sent
/// to it.
fn login_failed(error: Option<Error>) -> Attempt {
    match error {
        Some(error) if error.is_permanent() => {
            rejected(format!("the login is refused ({})", code(&error)))
        }
        Some(error) if error.is_transient() => {
            Attempt::Retry(format!("the login is put off ({})", code(&error)), None)
        }
        Some(error) if error.is_client() => {
            rejected("the server offers no login that this tool knows (PLAIN, LOGIN)".to_owned())
        }
        _ => Attempt::Retry("the connection broke during the login".to_owned(), None),
    }
}

/// Waits for a step of the dialogue; `None` is a time-out.
async fn within<T>(
    timeout: Duration,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Option<Error>> {
    match tokio::time::timeout(timeout, step).await {
        Ok(result) => result.map_err(Some),
        Err(_) => Err(None),
    }
}

/// A step before the message is sent.
async fn step<T>(
    timeout: Duration,
    name: &str,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Attempt> {
    within(timeout, step)
        .await
        .map_err(|error| broken(name, error))
}

/// What an error before the message was sent means: only the server's plain no is final.
fn broken(step: &str, error: Option<Error>) -> Attempt {
    match error {
        Some(error) if error.is_permanent() => rejected(format!("{step}: {}", reply(&error))),
        Some(error) => Attempt::Retry(format!("{step}: {}", reply(&error)), None),
        None => Attempt::Retry(format!("{step}: no answer in time"), None),
    }
}

fn accepted(response: &Response, refused: &[String]) -> Attempt {
    let answer = format!(
        "{} {}",
        response.code(),
        line(response.first_line().unwrap_or_default())
    );
    if refused.is_empty() {
        return Attempt::Done(ChannelOutcome::Sent, answer);
    }
    let text = format!(
        "accepted for some ({answer}), refused for {}",
        refused.join("; ")
    );
    rejected(text)
}

/// The server's answer, or what went wrong, in one line.
fn reply(error: &Error) -> String {
    line(&error.to_string())
}

fn code(error: &Error) -> String {
    error
        .status()
        .map_or_else(|| "no code".to_owned(), |code| code.to_string())
}
