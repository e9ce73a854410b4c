//! PagerDuty, by its Events API v2: it pages people when an experiment was aborted or the system
//! failed.
//!
//! Sources: developer.pagerduty.com, "Send an Alert Event". It answers 202 with
//! `{"status":"success","message":"Event processed","dedup_key":"…"}`. Events tell nothing of what
//! became of them: that is asked of the REST API, "List Incidents", by `incident_key`.

use std::time::Duration;

use chaos_common::config::Secret;
use chaos_common::record::{Occasion, Time};
use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderValue};
use serde_json::{Value, json};

use super::Acknowledged;
use super::error::ChannelError;
use super::http::{Http, Reply, Request, authorization, token};
use super::service::{Question, Reading, Service};
use super::settings::http_settings;
use crate::template::{Message, cut, line};

/// Where events go, unless the configuration says otherwise.
const EVENTS: &str = "https://events.pagerduty.com/v2/enqueue";

/// Where the REST API is, unless the configuration says otherwise.
const API: &str = "https://api.pagerduty.com";

/// The longest summary, in characters.
const MAX_SUMMARY: usize = 1024;

/// The longest text among the details, in characters. An event may have 512 KB in all.
const MAX_TEXT: usize = 20_000;

/// 120 events a minute and integration: developer.pagerduty.com, "Events API v2".
const INTERVAL: Duration = Duration::from_millis(500);

http_settings! {
    /// `[notify.pagerduty]`
    {
        /// The integration key of the service that is paged.
        pub(crate) routing_key: Secret,
        /// Where events go, if not to `https://events.pagerduty.com/v2/enqueue`.
        #[serde(default)]
        pub(crate) url: Option<String>,
        /// A key of the REST API that may read incidents: then an incident that somebody
        /// acknowledges, or resolves, acknowledges the message.
        #[serde(default)]
        pub(crate) token: Option<Secret>,
        /// With a token: where the REST API is, if not at `https://api.pagerduty.com`.
        #[serde(default)]
        pub(crate) api: Option<String>,
    }
    secrets: routing_key, token
}

/// PagerDuty, ready for messages.
pub(crate) struct PagerDuty {
    http: Http,
    routing_key: String,
    incidents: Option<Incidents>,
}

/// The REST API.
struct Incidents {
    http: Http,
    authorization: HeaderValue,
}

impl Incidents {
    fn new(settings: &Settings, token: String) -> Result<Incidents, ChannelError> {
        let authorization = authorization("Token", &format!("token={token}"))?;
        let url = settings.api.as_deref().unwrap_or(API);
        let http = Http::new(url, settings.reach(), [token])?;
        http.hides_token()?;
        Ok(Incidents {
            http,
            authorization,
        })
    }
}

impl PagerDuty {
    /// # Errors
    /// The key can't be read, or would travel in the clear.
    pub(super) fn new(settings: &Settings) -> Result<PagerDuty, ChannelError> {
        let routing_key = settings.routing_key.read().map_err(ChannelError::Secret)?;
        let url = settings.url.as_deref().unwrap_or(EVENTS);
        let http = Http::new(url, settings.reach(), [routing_key.clone()])?;
        http.hides_token()?;
        let token = token(settings.token.as_ref())?;
        let incidents = token.map(|token| Incidents::new(settings, token));
        Ok(PagerDuty {
            http,
            routing_key,
            incidents: incidents.transpose()?,
        })
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

    fn interval(&self) -> Duration {
        INTERVAL
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
                "text": cut(&message.text(), MAX_TEXT),
            },
        });
        let report = message.link.iter().map(|url| ("Report", url));
        let acknowledge = message.acknowledge.iter().map(|url| ("Acknowledge", url));
        let links = report.chain(acknowledge);
        let links: Vec<Value> = links
            .map(|(text, href)| json!({ "href": href, "text": text }))
            .collect();
        if !links.is_empty() {
            event["links"] = json!(links);
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

    fn knows_acknowledgements(&self) -> bool {
        self.incidents.is_some()
    }

    fn question(&self, receipt: &str) -> Option<Question<'_>> {
        let incidents = self.incidents.as_ref()?;
        let mut url = incidents.http.below(&["incidents"]);
        url.query_pairs_mut().append_pair("incident_key", receipt);
        let version = HeaderValue::from_static("application/vnd.pagerduty+json;version=2");
        let request = Request::get(url).authorized(Some(&incidents.authorization));
        Some(Question {
            http: &incidents.http,
            request: request.header(ACCEPT, version),
            reading: acknowledgement,
        })
    }
}

/// An incident that somebody has acknowledged or resolved.
fn acknowledgement(reply: &Reply) -> Result<Option<Acknowledged>, String> {
    let json = reply.json().unwrap_or_default();
    let Some(incidents) = json["incidents"].as_array() else {
        return Err("it is not PagerDuty's answer".to_owned());
    };
    let answered = incidents.iter().find(|incident| {
        let status = incident["status"].as_str();
        matches!(status, Some("acknowledged" | "resolved"))
    });
    Ok(answered.map(|incident| {
        let first = &incident["acknowledgements"][0];
        let who = first["acknowledger"]["summary"].as_str();
        // One that is resolved has no acknowledgements left, but whoever changed it last.
        let who = who.or_else(|| incident["last_status_change_by"]["summary"].as_str());
        let at = first["at"].as_str();
        let at = at.or_else(|| incident["last_status_change_at"].as_str());
        Acknowledged {
            by: line(who.unwrap_or("somebody at PagerDuty")),
            time: at.and_then(|at| at.parse().ok()).map(Time),
        }
    }))
}
