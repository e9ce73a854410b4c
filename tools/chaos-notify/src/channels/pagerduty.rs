//! PagerDuty, by its Events API v2: it pages people when an experiment was aborted or the system
//! failed.
//!
//! Source: developer.pagerduty.com, "Send an Alert Event". It answers 202 with
//! `{"status":"success","message":"Event processed","dedup_key":"…"}`.

use std::path::PathBuf;

use chaos_common::config::Secret;
use chaos_common::record::Occasion;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ChannelError;
use super::http::{Http, Reach, Reply, Request};
use super::service::{Reading, Service};
use crate::template::{Message, cut};

/// Where events go, unless the configuration says otherwise.
const EVENTS: &str = "https://events.pagerduty.com/v2/enqueue";

/// The longest summary, in characters.
const MAX_SUMMARY: usize = 1024;

/// The longest text among the details, in characters. An event may have 512 KB in all.
const MAX_TEXT: usize = 20_000;

/// `[notify.pagerduty]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Its name in routes and records; `pagerduty` if left out.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// The integration key of the service that is paged.
    pub(crate) routing_key: Secret,
    /// Where events go, if not to `https://events.pagerduty.com/v2/enqueue`.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// Certificates that are trusted instead of the system's (PEM).
    #[serde(default)]
    pub(crate) ca: Option<PathBuf>,
    /// The proxy, if not the one that `HTTPS_PROXY` names.
    #[serde(default)]
    pub(crate) proxy: Option<String>,
}

/// PagerDuty, ready for messages.
pub(crate) struct PagerDuty {
    http: Http,
    routing_key: String,
}

impl PagerDuty {
    /// # Errors
    /// The key can't be read, or would travel in the clear.
    pub(super) fn new(settings: &Settings) -> Result<PagerDuty, ChannelError> {
        let routing_key = settings.routing_key.read().map_err(ChannelError::Secret)?;
        let reach = Reach {
            ca: settings.ca.as_ref(),
            proxy: settings.proxy.as_deref(),
        };
        let url = settings.url.as_deref().unwrap_or(EVENTS);
        let http = Http::new(url, reach, [routing_key.clone()])?;
        http.hides_token()?;
        Ok(PagerDuty { http, routing_key })
    }

    fn event(&self, action: &str, message: &Message) -> Value {
        json!({
            "routing_key": self.routing_key,
            "event_action": action,
            "dedup_key": message.event,
        })
    }
}

impl Service for PagerDuty {
    fn http(&self) -> &Http {
        &self.http
    }

    fn request(&self, message: &Message) -> Request {
        if message.occasion == Occasion::Test {
            // It shows that the key is good, and pages nobody: there is nothing to resolve.
            let event = self.event("resolve", message);
            return Request::json(Method::POST, self.http.url(), &event);
        }
        let about = &message.about;
        let mut event = self.event("trigger", message);
        event["client"] = json!("chaos-notify");
        event["payload"] = json!({
            "summary": cut(&message.wording.subject, MAX_SUMMARY),
            "source": about.cluster,
            "severity": message.severity.word(),
            "timestamp": message.time.to_string(),
            "component": about.application,
            "group": about.namespace,
            "class": about.experiment,
            "custom_details": {
                "run": message.run,
                "text": cut(&message.wording.text, MAX_TEXT),
            },
        });
        if let Some(link) = &message.link {
            event["links"] = json!([{ "href": link, "text": "Report" }]);
        }
        Request::json(Method::POST, self.http.url(), &event)
    }

    fn reading(&self, reply: &Reply) -> Reading {
        let json = reply.json().unwrap_or_default();
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        match (reply.status, json["status"].as_str()) {
            (202, Some("success")) => {
                let words = text("message").unwrap_or_else(|| "success".to_owned());
                Reading::Taken(words, text("dedup_key"))
            }
            (_, Some(status)) if status != "success" => {
                Reading::Refused(format!("{status}: {}", text("message").unwrap_or_default()))
            }
            _ => Reading::Foreign,
        }
    }

    fn unconcerned(&self, message: &Message) -> Option<&'static str> {
        let pages = matches!(
            message.occasion,
            Occasion::Aborted | Occasion::Critical | Occasion::Test
        );
        (!pages).then_some("nobody is paged for this occasion")
    }
}
