//! Microsoft Teams, by the URL of a workflow ("When a Teams webhook request is received").
//!
//! Sources: learn.microsoft.com, "Create incoming webhooks with Workflows for Microsoft Teams", and
//! adaptivecards.io, "TextBlock". A workflow answers 202 without a body.

use std::time::Duration;

use chaos_common::config::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use super::error::ChannelError;
use super::http::{Http, Reply, Request};
use super::service::{Reading, Service};
use super::settings::http_settings;
use crate::template::{Message, cut};

/// The longest text, in characters. A card may have 28 KB in all.
const MAX_TEXT: usize = 6000;

/// Four requests a second: learn.microsoft.com, "Rate limiting for connectors".
const INTERVAL: Duration = Duration::from_millis(250);

http_settings! {
    /// `[notify.teams]`
    {
        /// The workflow's URL, which is a secret.
        pub(crate) url: Secret,
    }
    secrets: url
}

/// Teams, ready for messages.
pub(crate) struct Teams {
    http: Http,
}

impl Teams {
    /// # Errors
    /// The secret can't be read or is no URL.
    pub(super) fn new(settings: &Settings) -> Result<Teams, ChannelError> {
        let url = settings.url.read().map_err(ChannelError::Secret)?;
        let http = Http::new(&url, settings.reach(), [])?;
        Ok(Teams { http })
    }
}

impl Service for Teams {
    fn http(&self) -> &Http {
        &self.http
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn request(&self, message: &Message) -> Request {
        let wording = &message.wording;
        let block = |text: &str| json!({ "type": "TextBlock", "wrap": true, "text": text });
        let mut title = block(&escape(&wording.subject));
        title["weight"] = json!("Bolder");
        let text = cut(&message.text(), MAX_TEXT);
        // A TextBlock takes a single line break for none.
        let text = escape(&text).replace('\n', "\n\n");
        let mut card = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [title, block(&text)],
        });
        let report = message.link.iter().map(|url| ("Open the report", url));
        let acknowledge = message.acknowledge.iter().map(|url| ("Acknowledge", url));
        let action = |(title, url)| json!({ "type": "Action.OpenUrl", "title": title, "url": url });
        let actions: Vec<Value> = acknowledge.chain(report).map(action).collect();
        if !actions.is_empty() {
            card["actions"] = json!(actions);
        }
        let body = json!({
            "type": "message",
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": card,
            }],
        });
        Request::json(Method::POST, self.http.url(), &body)
    }

    fn reading(&self, reply: &Reply) -> Reading {
        match (reply.status, reply.body.trim()) {
            (202, _) => Reading::Taken("accepted".to_owned(), None),
            (200, "" | "1") => Reading::Taken("ok".to_owned(), None),
            _ => Reading::Foreign,
        }
    }
}

/// The characters of Markdown that an adaptive card gives a meaning, made plain.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*_[]()<>#~|".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_text_has_a_meaning_to_a_card() {
        assert_eq!(
            escape("[here](https://evil) **x** <at>all</at>"),
            "\\[here\\]\\(https://evil\\) \\*\\*x\\*\\* \\<at\\>all\\</at\\>"
        );
    }
}
