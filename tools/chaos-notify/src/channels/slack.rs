//! Slack, by an incoming webhook.

use chaos_common::config::Slack;
use serde_json::json;

use super::error::ChannelError;
use super::webhook::Post;
use crate::template::Message;

/// The longest text, in characters after escaping. Slack cuts or refuses longer ones.
const MAX_TEXT: usize = 3000;

pub(crate) fn post(settings: &Slack, message: &Message) -> Result<Post, ChannelError> {
    let url = settings.webhook.read().map_err(ChannelError::Secret)?;
    Post::new(&url, None, json!({ "text": escape(&message.short) }))
}

/// Slack's three characters with a meaning; text from the stream could else ring a whole channel
/// (`<!channel>`).
fn escape(text: &str) -> String {
    let mut out = String::new();
    let mut length = 0;
    for c in text.chars() {
        let escaped = match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            c => c.to_string(),
        };
        length += escaped.chars().count();
        if length >= MAX_TEXT {
            out.push('…');
            break;
        }
        out.push_str(&escaped);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_text_has_a_meaning_to_slack() {
        assert_eq!(escape("<!channel> a & b"), "&lt;!channel&gt; a &amp; b");
    }

    #[test]
    fn long_text_is_cut_between_characters_and_not_within_an_escape() {
        let text = escape(&"<ü".repeat(3000));
        assert!(text.chars().count() <= MAX_TEXT);
        assert!(
            text.ends_with("ü…") || text.ends_with("&lt;…"),
            "{}",
            &text[text.len() - 20..]
        );
    }
}
