//! The mail as it travels: MIME with the text, the same as HTML, and the report where it is small.

use std::time::SystemTime;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message as Mail, MultiPart};

use crate::template::{Message, html};

/// A mail that is to be made.
pub(super) struct Letter<'a> {
    pub(super) from: &'a Mailbox,
    pub(super) to: &'a [Mailbox],
    pub(super) message: &'a Message,
}

impl Letter<'_> {
    /// Its `Message-ID`: the same for the same message, so that a repeat is known as one.
    pub(super) fn id(&self) -> String {
        format!("<{}@{}>", self.message.event, self.from.email.domain())
    }

    /// The mail as it travels.
    ///
    /// # Errors
    /// lettre refuses it.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, lettre::error::Error> {
        let message = self.message;
        let mut builder = Mail::builder()
            .from(self.from.clone())
            .subject(message.wording.subject.clone())
            .date(SystemTime::from(message.time.0))
            .message_id(Some(self.id()));
        for to in self.to {
            builder = builder.to(to.clone());
        }
        // Answers are found by any channel's receipt that has the form of one.
        let mut answers = message.answers.values().filter(|id| is_message_id(id));
        if let Some(id) = answers.next() {
            builder = builder.in_reply_to(id.clone()).references(id.clone());
        }
        let text = message.text();
        let both = MultiPart::alternative_plain_html(text.clone(), html(&text, &message.links()));
        let mut mail = builder.multipart(match &message.attachment {
            None => both,
            Some(file) => {
                let kind = ContentType::parse("text/markdown; charset=utf-8");
                let kind = kind.unwrap_or(ContentType::TEXT_PLAIN);
                let part = Attachment::new(file.name.clone()).body(file.text.clone(), kind);
                MultiPart::mixed().multipart(both).singlepart(part)
            }
        })?;
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        mail.headers_mut()
            .insert_raw(HeaderValue::new(automatic, "auto-generated".to_owned()));
        Ok(mail.formatted())
    }
}

fn is_message_id(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_graphic();
    text.starts_with('<') && text.ends_with('>') && text.contains('@') && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chaos_common::record::Occasion;

    use super::*;
    use crate::template::Attachment as File;
    use crate::template::{About, Severity, Wording};

    fn message() -> Message {
        Message {
            event: "e-1".into(),
            run: "r".into(),
            occasion: Occasion::Completed,
            severity: Severity::Info,
            time: serde_json::from_str("\"2026-11-22T16:00:00Z\"").expect("RFC 3339"),
            about: About::default(),
            wording: Wording {
                subject: "pod-failure on ü: pass".into(),
                text: "Title\n\nTarget: \u{fc}\n.\nBcc: evil@example.com\n".into(),
                short: String::new(),
            },
            page: None,
            alerts: None,
            link: None,
            attachment: None,
            answers: BTreeMap::new(),
            announced: None,
            addresses: Vec::new(),
            asks: None,
            acknowledge: None,
        }
    }

    fn mail(message: &Message) -> String {
        let from: Mailbox = "chaos@company.com".parse().expect("an address");
        let to: Mailbox = "Team <team@company.com>".parse().expect("an address");
        let letter = Letter {
            from: &from,
            to: &[to],
            message,
        };
        String::from_utf8(letter.bytes().expect("a mail")).expect("ASCII")
    }

    #[test]
    fn it_is_mime_with_both_parts_and_an_id_of_its_own() {
        let mail = mail(&message());
        let (head, body) = mail.split_once("\r\n\r\n").expect("a head and a body");
        for part in [
            "MIME-Version: 1.0\r\n",
            "Message-ID: <e-1@company.com>\r\n",
            "Date: Sun, 22 Nov 2026 16:00:00 +0000\r\n",
            "Content-Type: multipart/alternative;",
            "To: Team <team@company.com>\r\n",
        ] {
            assert!(head.contains(part), "{part:?} is not in\n{head}");
        }
        assert!(head.contains("Auto-Submitted: auto-generated"), "{head}");
        assert!(
            !head.contains("Bcc") && !head.contains("In-Reply-To"),
            "{head}"
        );
        assert!(body.contains("Content-Type: text/plain"), "{body}");
        assert!(body.contains("Content-Type: text/html"), "{body}");
        assert!(mail.is_ascii());
    }

    #[test]
    fn results_answer_to_the_announcement_and_nothing_else_does() {
        let mut answer = message();
        let receipt = |channel: &str, id: &str| (channel.to_owned(), id.to_owned());
        answer.answers = BTreeMap::from([receipt("mail", "<a@company.com>")]);
        let head = mail(&answer);
        assert!(head.contains("In-Reply-To: <a@company.com>\r\n"), "{head}");
        assert!(head.contains("References: <a@company.com>\r\n"), "{head}");
        answer.answers = BTreeMap::from([receipt("mail", "<a@b>\r\nBcc: x@y")]);
        let head = mail(&answer);
        assert!(!head.contains("In-Reply-To"), "{head}");
    }

    #[test]
    fn the_report_goes_with_it() {
        let mut with_report = message();
        with_report.attachment = Some(File {
            name: "report.md".into(),
            text: "# Report\n".into(),
        });
        let mail = mail(&with_report);
        assert!(mail.contains("Content-Type: multipart/mixed;"), "{mail}");
        assert!(mail.contains("filename=\"report.md\""), "{mail}");
        assert!(mail.contains("# Report\r\n"), "{mail}");
    }
}
