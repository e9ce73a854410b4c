//! Slack, by an incoming webhook, or by its methods with a token: then results answer to the
//! announcement in its thread, the announcement is brought up to date, and a reaction acknowledges.
//!
//! Sources: docs.slack.dev, "Sending messages using incoming webhooks", "chat.postMessage",
//! "chat.update", "reactions.get", "Formatting message text".

use std::time::Duration;

use chaos_common::config::Secret;
use chaos_common::record::Occasion;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use super::Acknowledged;
use super::error::ChannelError;
use super::http::{Http, Reply, Request, authorization, token};
use super::service::{Question, Reading, Service};
use super::settings::http_settings;
use crate::template::{Message, cut, line};

/// The longest text, in characters after escaping. Slack cuts or refuses longer ones.
const MAX_TEXT: usize = 3000;

/// Where the method is, unless the configuration says otherwise.
const API: &str = "https://slack.com/api/";

/// One message a second and conversation: docs.slack.dev, "Rate limits".
const INTERVAL: Duration = Duration::from_secs(1);

http_settings! {
    /// `[notify.slack]`
    {
        /// The incoming webhook's URL, which is a secret.
        #[serde(default)]
        pub(crate) webhook: Option<Secret>,
        /// Instead of a webhook: the token of a bot that may `chat:write`; to see who acknowledges,
        /// `reactions:read` too.
        #[serde(default)]
        pub(crate) token: Option<Secret>,
        /// With a token: the conversation, by its id or as `#name`.
        #[serde(default)]
        pub(crate) channel: Option<String>,
        /// With a token: where Slack's methods are, if not at `https://slack.com/api/`.
        #[serde(default)]
        pub(crate) api: Option<String>,
    }
    secrets: webhook, token
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
        let slack = |http, bot| Slack {
            http,
            name: name.to_owned(),
            bot,
        };
        if let Some(webhook) = &settings.webhook {
            let url = webhook.read().map_err(ChannelError::Secret)?;
            return Ok(slack(Http::new(&url, settings.reach(), [])?, None));
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
        let http = Http::new(api, settings.reach(), [token])?;
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
            "channel": conversation(bot, message),
            "text": text,
            "mrkdwn": false,
            "unfurl_links": false,
            "unfurl_media": false,
            "client_msg_id": message.event,
        });
        if let Some((channel, thread)) = self.announcement(message) {
            body["channel"] = json!(channel);
            body["thread_ts"] = json!(thread);
            // An alarm is for everybody, not only for those who follow the thread.
            let is_alarm = matches!(message.occasion, Occasion::Aborted | Occasion::Critical);
            body["reply_broadcast"] = json!(is_alarm);
        }
        self.call(bot, "chat.postMessage", &body)
    }

    fn call(&self, bot: &Bot, method: &str, body: &Value) -> Request {
        let url = self.http.below(&[method]);
        Request::json(Method::POST, url, body).authorized(Some(&bot.authorization))
    }

    /// Conversation and time of the announcement that a message answers. A message to other people
    /// does not stand in its thread.
    fn announcement<'a>(&self, message: &'a Message) -> Option<(&'a str, &'a str)> {
        let receipt = message.answers(&self.name)?;
        receipt
            .split_once('/')
            .filter(|_| message.addresses.is_empty())
    }
}

/// The conversation that a message goes to.
fn conversation<'a>(bot: &'a Bot, message: &'a Message) -> &'a str {
    message.addresses.first().unwrap_or(&bot.channel)
}

impl Service for Slack {
    fn http(&self) -> &Http {
        &self.http
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn request(&self, message: &Message) -> Request {
        let text = escape(&message.short(), message.link.as_deref());
        match &self.bot {
            Some(bot) => self.post(bot, message, &text),
            None => Request::json(Method::POST, self.http.url(), &json!({ "text": text })),
        }
    }

    fn to(&self, message: &Message) -> String {
        let host = self.http.host();
        match (&self.bot, &message.addresses[..]) {
            (Some(bot), [_, ..]) => format!("{} at {host}", conversation(bot, message)),
            _ => host.to_owned(),
        }
    }

    fn check_addresses(&self, addresses: &[String]) -> Result<(), ChannelError> {
        match (&self.bot, addresses) {
            (_, []) => Ok(()),
            (Some(_), [one]) if is_conversation(one) => Ok(()),
            (Some(_), [one]) => Err(ChannelError::NotAConversation(one.clone())),
            (_, many) => Err(ChannelError::NotOneConversation(many.len())),
        }
    }

    /// Once the run is over, the announcement says how it ended.
    fn follow_up(&self, message: &Message) -> Option<Request> {
        let bot = self.bot.as_ref()?;
        let is_end = matches!(message.occasion, Occasion::Completed | Occasion::Aborted);
        let (channel, ts) = self.announcement(message).filter(|_| is_end)?;
        let announced = message.announced.as_deref()?;
        let ended = &message.wording.subject;
        let text = escape(&format!("{announced}\nIt is over. {ended}"), None);
        let body = json!({ "channel": channel, "ts": ts, "text": text });
        Some(self.call(bot, "chat.update", &body))
    }

    fn knows_acknowledgements(&self) -> bool {
        self.bot.is_some()
    }

    fn question(&self, receipt: &str) -> Option<Question<'_>> {
        let bot = self.bot.as_ref()?;
        let (channel, ts) = receipt.split_once('/')?;
        let mut url = self.http.below(&["reactions.get"]);
        url.query_pairs_mut()
            .append_pair("channel", channel)
            .append_pair("timestamp", ts);
        Some(Question {
            http: &self.http,
            request: Request::get(url).authorized(Some(&bot.authorization)),
            reading: reaction,
        })
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

/// Whoever has reacted first, with whatever picture: they have seen it.
fn reaction(reply: &Reply) -> Result<Option<Acknowledged>, String> {
    let json = reply.json().unwrap_or_default();
    if json["ok"] != true {
        let error = json["error"].as_str();
        return Err(error.unwrap_or("it is not Slack's answer").to_owned());
    }
    let reactions = json["message"]["reactions"]
        .as_array()
        .into_iter()
        .flatten();
    let mut users =
        reactions.flat_map(|reaction| reaction["users"].as_array().into_iter().flatten());
    let user = users.next().and_then(Value::as_str);
    Ok(user.map(|user| Acknowledged {
        by: line(user),
        time: None,
    }))
}

/// Whether it is a name such as `#ops`, or an id of a conversation or a person.
fn is_conversation(text: &str) -> bool {
    let name = text.strip_prefix('#').unwrap_or(text);
    let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '_' || c == '.';
    !name.is_empty() && name.chars().all(plain)
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
