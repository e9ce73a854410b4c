//! The SMTP dialogue.
//!
//! It is led here, step by step, because it matters where it breaks: before the end of the message
//! was sent nothing is delivered, and it may be tried again; after that, it may have been.

use std::time::Duration;

use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use lettre::transport::smtp::response::Response;

use super::Mail;
use super::connection::within;
use crate::delivery::{Answer, Watch};
use crate::template::{Message, line};

/// Said where the message may have arrived.
const NO_ANSWER: &str =
    "no answer after the message was sent; it may have arrived, so it is not sent again";

/// A connection that may carry the message.
struct Ready {
    connection: AsyncSmtpConnection,
    /// Who will get it.
    accepted: Vec<String>,
    /// Answers of those who will not, or not now.
    others: Vec<Answer>,
}

impl Mail {
    /// Sends a mail to those who have not got it yet; an answer for each of them.
    pub(super) async fn dialogue(
        &self,
        message: &Message,
        pending: &[String],
        bytes: &[u8],
        watch: &Watch,
    ) -> Vec<Answer> {
        let ready = match self.before_message(message, pending, watch).await {
            Ok(ready) => ready,
            Err(answers) => return answers,
        };
        let Ready {
            mut connection,
            accepted,
            others,
        } = ready;
        // The data of a mail is not of one write: from its first byte on, its end may be the next.
        watch.may_arrive();
        let answer = match within(watch, connection.message(bytes)).await {
            Ok(response) => Answer::delivered(self.words(&response)),
            Err(Some(error)) if error.is_transient() => Answer::later(self.reply(&error)),
            Err(Some(error)) if error.is_permanent() => Answer::refused(self.reply(&error)),
            Err(_) => Answer::unknown(NO_ANSWER),
        };
        // The message's fate is settled; how the connection ends changes nothing.
        let _ = tokio::time::timeout(Duration::from_secs(1), connection.quit()).await;
        let mut answers: Vec<Answer> = accepted.iter().map(|to| answer.to(to)).collect();
        answers.extend(others);
        answers
    }

    /// Everything up to the server's leave to send the message. Nothing is delivered yet when this
    /// fails.
    async fn before_message(
        &self,
        message: &Message,
        pending: &[String],
        watch: &Watch,
    ) -> Result<Ready, Vec<Answer>> {
        let whole = |answer| vec![answer];
        let mut connection = self.connect(watch).await.map_err(whole)?;
        let parameters = self.parameters(&connection, message, pending)?;
        let from = MailFrom::new(Some(self.from.email.clone()), parameters);
        let begun = self.step(watch, "MAIL", connection.command(from)).await;
        begun.map_err(whole)?;
        let (mut accepted, mut others) = (Vec::new(), Vec::new());
        for to in self.those(message, pending) {
            let recipient = Rcpt::new(to.email.clone(), Vec::new());
            let name = to.email.to_string();
            match within(watch, connection.command(recipient)).await {
                Ok(_) => accepted.push(name),
                Err(Some(error)) if error.is_permanent() => {
                    others.push(Answer::refused(self.reply(&error)).to(&name));
                }
                // Put off, as by greylisting: the others get it now, and this one later.
                Err(Some(error)) if error.is_transient() => {
                    others.push(Answer::later(self.reply(&error)).to(&name));
                }
                Err(error) => {
                    // The connection is gone. What the server said of the others stands.
                    others.push(self.broken("RCPT", error));
                    return Err(others);
                }
            }
        }
        if accepted.is_empty() {
            let _ = within(watch, connection.quit()).await;
            return Err(others);
        }
        let leave = self.step(watch, "DATA", connection.command(Data)).await;
        if let Err(answer) = leave {
            others.push(answer);
            return Err(others);
        }
        Ok(Ready {
            connection,
            accepted,
            others,
        })
    }

    /// Addresses beyond ASCII need a server that knows them (RFC 6531).
    fn parameters(
        &self,
        connection: &AsyncSmtpConnection,
        message: &Message,
        pending: &[String],
    ) -> Result<Vec<MailParameter>, Vec<Answer>> {
        let to = self.those(message, pending);
        let mut addresses = to
            .iter()
            .chain([&self.from])
            .map(|mailbox| mailbox.email.to_string());
        if addresses.all(|address| address.is_ascii()) {
            return Ok(Vec::new());
        }
        let known = connection.server_info();
        if known.supports_feature(Extension::SmtpUtfEight) {
            return Ok(vec![MailParameter::SmtpUtfEight]);
        }
        let why = "the server takes no address beyond ASCII (SMTPUTF8)";
        Err(vec![Answer::refused(why)])
    }

    fn words(&self, response: &Response) -> String {
        let said = response.first_line().unwrap_or_default();
        let said = self.scrub.clean(said);
        format!("{} {}", response.code(), line(&said))
    }
}
