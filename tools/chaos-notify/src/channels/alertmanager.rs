//! Alertmanager: a silence for exactly the alerts that the plan expects, which ends with the run.
//!
//! Source: Alertmanager's `api/v2/openapi.yaml`, `/silences` and `/silence/{silenceID}`.

use chaos_common::config::Secret;
use chaos_common::record::{Occasion, Time};
use futures::future::LocalBoxFuture;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use super::Channel;
use super::error::ChannelError;
use super::http::{Http, Request, authorization, token};
use super::service::{Reading, judge};
use super::settings::http_settings;
use crate::delivery::{Answer, Fate, Watch};
use crate::template::{Alerts, Message};

/// Who made the silence.
const CREATOR: &str = "chaos-notify";

http_settings! {
    /// `[notify.alertmanager]`
    {
        /// Its URL, without `/api/v2`.
        pub(crate) url: String,
        /// Sent as `Authorization: Bearer …`; left out, no such header is sent.
        #[serde(default)]
        pub(crate) token: Option<Secret>,
    }
    secrets: token
}

/// An Alertmanager, ready to be silenced.
pub(crate) struct Alertmanager {
    http: Http,
    authorization: Option<HeaderValue>,
}

/// A silence that is there.
struct Silence {
    id: String,
    alert: String,
}

impl Alertmanager {
    /// # Errors
    /// A secret can't be read, or what is named is no URL.
    pub(super) fn new(settings: &Settings) -> Result<Alertmanager, ChannelError> {
        let token = token(settings.token.as_ref())?;
        let header = token.as_deref().map(|token| authorization("Bearer", token));
        let http = Http::new(&settings.url, settings.reach(), token.clone())?;
        if token.is_some() {
            http.hides_token()?;
        }
        Ok(Alertmanager {
            http,
            authorization: header.transpose()?,
        })
    }

    fn at(&self, parts: &[&str]) -> reqwest::Url {
        self.http.below(&[&["api", "v2"], parts].concat())
    }

    async fn adjust(&self, message: &Message, watch: &Watch) -> Result<Answer, Answer> {
        let held = self.held(&message.run, watch).await?;
        match &message.alerts {
            None => Ok(Answer::delivered("the silences can be read")),
            Some(Alerts::Over) => self.expire(&held, watch).await,
            Some(Alerts::Expected { names, from, until }) => {
                let is_held = |name: &&String| !held.iter().any(|held| held.alert == **name);
                let missing: Vec<&String> = names.iter().filter(is_held).collect();
                for name in &missing {
                    let body = silence(message, name, *from, *until);
                    self.create(&body, watch).await?;
                }
                let (made, all) = (missing.len(), names.len());
                Ok(Answer::delivered(format!("{made} of {all} silences made")))
            }
        }
    }

    /// The run's silences that have not ended.
    async fn held(&self, run: &str, watch: &Watch) -> Result<Vec<Silence>, Answer> {
        let request = Request::get(self.at(&["silences"]));
        let request = request.authorized(self.authorization.as_ref());
        let reply = self.http.read(request, watch).await?;
        let json = reply.json();
        let Some(all) = json.as_ref().and_then(Value::as_array) else {
            let answer = judge(&self.http, &reply, &[], |_| Reading::Foreign);
            return Err(match answer.fate {
                Fate::Unknown => Answer::later(format!("cannot look: {}", answer.words)),
                _ => answer,
            });
        };
        let (creator, comment) = (json!(CREATOR), json!(comment(run)));
        let own = all.iter().filter(|silence| {
            silence["createdBy"] == creator
                && silence["comment"] == comment
                && silence["status"]["state"] != "expired"
        });
        let silence = |silence: &Value| {
            let matchers = silence["matchers"].as_array()?.iter();
            let alert = matchers
                .filter(|matcher| matcher["name"] == "alertname")
                .find_map(|matcher| matcher["value"].as_str());
            Some(Silence {
                id: silence["id"].as_str()?.to_owned(),
                alert: alert?.to_owned(),
            })
        };
        Ok(own.filter_map(silence).collect())
    }

    async fn create(&self, body: &Value, watch: &Watch) -> Result<(), Answer> {
        let request = Request::json(Method::POST, self.at(&["silences"]), body);
        let request = request.authorized(self.authorization.as_ref());
        let reply = self.http.write(request, watch).await?;
        settled(judge(&self.http, &reply, &[], |reply| {
            match reply.json().unwrap_or_default()["silenceID"].as_str() {
                Some(id) => Reading::Taken(id.to_owned(), None),
                None => Reading::Foreign,
            }
        }))
    }

    async fn expire(&self, held: &[Silence], watch: &Watch) -> Result<Answer, Answer> {
        for silence in held {
            let url = self.at(&["silence", &silence.id]);
            let request = Request::new(Method::DELETE, url);
            let request = request.authorized(self.authorization.as_ref());
            let reply = self.http.write(request, watch).await?;
            settled(judge(&self.http, &reply, &[], |reply| {
                match reply.body.trim() {
                    "" => Reading::Taken("expired".to_owned(), None),
                    _ => Reading::Foreign,
                }
            }))?;
        }
        Ok(Answer::delivered(format!("{} silences ended", held.len())))
    }
}

/// Goes on where something was taken; another answer ends the work.
fn settled(answer: Answer) -> Result<(), Answer> {
    match answer.fate {
        Fate::Delivered => Ok(()),
        _ => Err(answer),
    }
}

/// A silence for the alerts of one name, while the run may take: those of the run's namespace, and
/// those that have none.
fn silence(message: &Message, alert: &str, from: Time, until: Time) -> Value {
    let mut matchers = vec![json!({
        "name": "alertname", "value": alert, "isRegex": false, "isEqual": true,
    })];
    let namespace = &message.about.namespace;
    if is_namespace(namespace) {
        matchers.push(json!({
            "name": "namespace", "value": format!("{namespace}|"), "isRegex": true, "isEqual": true,
        }));
    }
    json!({
        "matchers": matchers,
        "startsAt": from.to_string(),
        "endsAt": until.to_string(),
        "createdBy": CREATOR,
        "comment": comment(&message.run),
    })
}

/// Whether it is a name that a namespace can have, and so no regular expression but itself.
fn is_namespace(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.chars().all(plain)
}

/// By what a run's silences are found again.
fn comment(run: &str) -> String {
    format!("expected by the chaos experiment of run {run}")
}

impl Channel for Alertmanager {
    fn to(&self, _message: &Message) -> String {
        self.http.host().to_owned()
    }

    fn unconcerned(&self, message: &Message) -> Option<&'static str> {
        match &message.alerts {
            Some(Alerts::Expected { names, .. }) if names.is_empty() => {
                Some("the plan expects no alert")
            }
            None if message.occasion != Occasion::Test => {
                Some("this occasion changes nothing on alerts")
            }
            _ => None,
        }
    }

    fn shows_state(&self) -> bool {
        true
    }

    fn preview(&self, message: &Message) -> String {
        let host = self.http.host();
        match &message.alerts {
            None => format!("GET to {host}: the silences"),
            Some(Alerts::Over) => format!("DELETE to {host}: the silences of the run"),
            Some(Alerts::Expected { names, from, until }) => {
                let bodies = names
                    .iter()
                    .map(|name| silence(message, name, *from, *until));
                let bodies: Vec<String> = bodies.map(|body| body.to_string()).collect();
                format!("POST to {host}: {}", bodies.join("\n"))
            }
        }
    }

    fn attempt<'a>(
        &'a self,
        message: &'a Message,
        _pending: &'a [String],
        watch: &'a Watch,
    ) -> LocalBoxFuture<'a, Vec<Answer>> {
        Box::pin(async move {
            let done = self.adjust(message, watch).await;
            vec![done.unwrap_or_else(|answer| answer)]
        })
    }
}
