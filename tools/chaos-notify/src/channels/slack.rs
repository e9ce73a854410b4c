//! Slack, by an incoming webhook, or by `chat.postMessage` with a token: then results answer to the
//! announcement, in its thread.
//!
//! Sources: docs.slack.dev, "Sending messages using incoming webhooks", "chat.postMessage",
//! "Formatting message text".

use std::path::PathBuf;

use chaos_common::config::Secret;
use chaos_common::record::Occasion;
use reqwest::Method;
use reqwest::header::HeaderValue;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ChannelError;
use super::http::{Http, Reach, Reply, Request, authorization, token};
use super::service::{Reading, Service};
use crate::template::{Message, cut};

/// The longest text, in characters after escaping. Slack cuts or refuses longer ones.
const MAX_TEXT: usize = 3000;

/// Where the method is, unless the configuration says otherwise.
const API: &str = "https://slack.com/api/";

/// `[notify.slack]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Its name in routes and records; `slack` if left out.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The incoming webhook's URL, which is a secret.
    #[serde(default)]
    pub(crate) webhook: Option<Secret>,
    /// Instead of a webhook: the token of a bot that may `chat:write`.
    #[serde(default)]
    pub(crate) token: Option<Secret>,
    /// With a token: the conversation, by its id or as `#name`.
    #[serde(default)]
    pub(crate) channel: Option<String>,
    /// With a token: where Slack's methods are, if not at `https://slack.com/api/`.
    #[serde(default)]
    pub(crate) api: Option<String>,
    /// Certificates that are trusted instead of the system's (PEM).
    #[serde(default)]
    pub(crate) ca: Option<PathBuf>,
    /// The proxy, if not the one that `HTTPS_PROXY` names.
    #[serde(default)]
    pub(crate) proxy: Option<String>,
}

/// Slack, ready for messages.
pub(crate) struct Slack {
    http: Http,
    name: String,
    bot: Option<Bot>,
}

/// What a token needs besides.
struct Bot {
    authorization: HeaderValue,
    channel: String,
}

impl Slack {
    /// # Errors
    /// A secret can't be read, or what it needs is missing.
    pub(super) fn new(settings: &Settings, name: &str) -> Result<Slack, ChannelError> {
        let reach = Reach {
            ca: settings.ca.as_ref(),
            proxy: settings.proxy.as_deref(),
        };
        let slack = |http, bot| Slack {
            http,
            name: name.to_owned(),
            bot,
        };
        if let Some(webhook) = &settings.webhook {
            let url = webhook.read().map_err(ChannelError::Secret)?;
            return Ok(slack(Http::new(&url, reach, [])?, None));
        }
        let missing = |key, why| ChannelError::Missing { key, why };
        let token = token(settings.token.as_ref())?
            .ok_or_else(|| missing("notify.slack.webhook", "give it, or token and channel"))?;
        let channel = settings
            .channel
            .clone()
            .ok_or_else(|| missing("notify.slack.channel", "a token alone leads nowhere"))?;
        let authorization = authorization("Bearer", &token)?;
        let api = settings.api.as_deref().unwrap_or(API);
        let http = Http::new(api, reach, [token])?;
        http.hides_token()?;
        Ok(slack(
            http,
            Some(Bot {
                authorization,
                channel,
            }),
        ))
    }

    fn post(&self, bot: &Bot, message: &Message, text: &str) -> Request {
        let mut body = json!({
            "channel": bot.channel,
            "text": text,
            "mrkdwn": false,
            "unfurl_links": false,
            "unfurl_media": false,
            "client_msg_id": message.event,
        });
        let thread = message.answers(&self.name).and_then(|r| r.split_once('/'));
        if let Some((channel, thread)) = thread {
            body["channel"] = json!(channel);
            body["thread_ts"] = json!(thread);
            // An alarm is for everybody, not only for those who follow the thread.
            let is_alarm = matches!(message.occasion, Occasion::Aborted | Occasion::Critical);
            body["reply_broadcast"] = json!(is_alarm);
        }
        let url = self.http.below(&["chat.postMessage"]);
        Request::json(Method::POST, url, &body).authorized(Some(&bot.authorization))
    }
}

impl Service for Slack {
    fn http(&self) -> &Http {
        &self.http
    }

    fn request(&self, message: &Message) -> Request {
        let text = escape(&message.wording.short, message.link.as_deref());
        match &self.bot {
            Some(bot) => self.post(bot, message, &text),
            None => Request::json(Method::POST, self.http.url(), &json!({ "text": text })),
        }
    }

    /// A webhook says `ok`, or in a word why not. A method says `{"ok":true,…}`, or
    /// `{"ok":false,"error":"channel_is_archived"}`, both with status 200.
    fn reading(&self, reply: &Reply) -> Reading {
        if self.bot.is_some() {
            return method_reading(reply);
        }
        let is_word = |text: &str| {
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            !text.is_empty() && text.len() < 60 && text.chars().all(plain)
        };
        match reply.body.trim() {
            "ok" => Reading::Taken("ok".to_owned(), None),
            word if is_word(word) => Reading::Refused(word.to_owned()),
            _ => match reply.json().map(|json| json["ok"].clone()) {
                Some(Value::Bool(false)) => method_reading(reply),
                _ => Reading::Foreign,
            },
        }
    }
}

fn method_reading(reply: &Reply) -> Reading {
    let Some(json) = reply.json() else {
        return Reading::Foreign;
    };
    let text = |key: &str| json[key].as_str().map(str::to_owned);
    match json["ok"] {
        Value::Bool(true) => {
            let receipt = text("channel").zip(text("ts"));
            let receipt = receipt.map(|(channel, ts)| format!("{channel}/{ts}"));
            Reading::Taken("ok".to_owned(), receipt)
        }
        Value::Bool(false) => Reading::Refused(text("error").unwrap_or_else(|| "ok: false".into())),
        _ => Reading::Foreign,
    }
}

/// Slack's three characters with a meaning; text from the stream could else ring a whole channel
/// (`<!channel>`). A text that is too long ends in a mark and the link.
fn escape(text: &str, link: Option<&str>) -> String {
    let escaped = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        c => c.to_string(),
    };
    let all: String = text.chars().map(escaped).collect();
    if all.chars().count() <= MAX_TEXT {
        return all;
    }
    let end = link.map_or_else(|| " ...".to_owned(), |link| format!(" ... {link}"));
    let end: String = cut(&end, 300).chars().map(escaped).collect();
    let room = MAX_TEXT - end.chars().count();
    let mut out = String::new();
    let mut length = 0;
    for c in text.chars().map(escaped) {
        length += c.chars().count();
        if length > room {
            break;
        }
        out.push_str(&c);
    }
    out + &end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_text_has_a_meaning_to_slack() {
        assert_eq!(
            escape("<!channel> a & b <https://evil|here>", None),
            "&lt;!channel&gt; a &amp; b &lt;https://evil|here&gt;"
        );
    }

    #[test]
    fn long_text_is_cut_between_characters_and_ends_in_the_link() {
        let text = escape(&"<ü".repeat(3000), Some("https://reports/x"));
        assert!(text.chars().count() <= MAX_TEXT);
        assert!(text.ends_with(" ... https://reports/x"), "{text}");
        let kept = text.trim_end_matches(" ... https://reports/x");
        assert!(kept.ends_with('ü') || kept.ends_with("&lt;"), "{kept}");
    }
}
