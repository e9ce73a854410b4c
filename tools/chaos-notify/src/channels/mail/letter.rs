//! The mail as it travels.

use chaos_common::record::Occasion;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message as Mail};

use crate::channels::error::ChannelError;
use crate::template::Message;

/// The mail as it travels. No header holds text from the stream but for the id, which is made
/// plain.
pub(super) fn bytes(
    from: &Mailbox,
    to: &[Mailbox],
    message: &Message,
    run: &str,
) -> Result<Vec<u8>, ChannelError> {
    let id = message_id(run, message.occasion, from.email.domain());
    let builder = Mail::builder()
        .from(from.clone())
        .subject(message.subject)
        .message_id(Some(id));
    let builder = to
        .iter()
        .fold(builder, |builder, to| builder.to(to.clone()));
    let mut letter = builder
        .header(ContentType::TEXT_PLAIN)
        .body(message.text.clone())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_made_plain() {
        let id = |run| message_id(run, Occasion::Scheduled, "company.com");
        assert_eq!(id("r-1"), "<r-1.scheduled@company.com>");
        assert_eq!(id("r>\r\n1"), "<r1.scheduled@company.com>");
    }
}
