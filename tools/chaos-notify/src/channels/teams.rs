//! Microsoft Teams, by the URL of a workflow ("When a Teams webhook request is received").
//!
//! Sources: learn.microsoft.com, "Create incoming webhooks with Workflows for Microsoft Teams", and
//! adaptivecards.io, "TextBlock". A workflow answers 202 without a body.

use std::path::PathBuf;

use chaos_common::config::Secret;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::error::ChannelError;
use super::http::{Http, Reach, Reply, Request};
use super::service::{Reading, Service};
use crate::template::{Message, cut};

/// The longest text, in characters. A card may have 28 KB in all.
const MAX_TEXT: usize = 6000;

/// `[notify.teams]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Its name in routes and records; `teams` if left out.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The workflow's URL, which is a secret.
    pub(crate) url: Secret,
    /// Certificates that are trusted instead of the system's (PEM).
    #[serde(default)]
    pub(crate) ca: Option<PathBuf>,
    /// The proxy, if not the one that `HTTPS_PROXY` names.
    #[serde(default)]
    pub(crate) proxy: Option<String>,
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
        let reach = Reach {
            ca: settings.ca.as_ref(),
            proxy: settings.proxy.as_deref(),
        };
        let http = Http::new(&url, reach, [])?;
        Ok(Teams { http })
    }
}

impl Service for Teams {
    fn http(&self) -> &Http {
        &self.http
    }

    fn request(&self, message: &Message) -> Request {
        let wording = &message.wording;
        let block = |text: &str| json!({ "type": "TextBlock", "wrap": true, "text": text });
        let mut title = block(&escape(&wording.subject));
        title["weight"] = json!("Bolder");
        let text = cut(&wording.text, MAX_TEXT);
        // A TextBlock takes a single line break for none.
        let text = escape(&text).replace('\n', "\n\n");
        let mut card = json!({
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [title, block(&text)],
        });
        if let Some(link) = &message.link {
            card["actions"] =
                json!([{ "type": "Action.OpenUrl", "title": "Open the report", "url": link }]);
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
