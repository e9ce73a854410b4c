//! Instatus.
//!
//! Source: instatus.com/help/api, "Incidents" and "Incident updates". It answers with the incident
//! or the update.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use super::Site;
use super::incident::{IncidentApi, ids_and_names};
use crate::channels::error::ChannelError;
use crate::channels::http::{Http, Request, authorization};
use crate::template::Page;

/// A page at Instatus.
pub(super) struct Instatus {
    site: Site,
    page: String,
    authorization: Option<HeaderValue>,
}

impl Instatus {
    pub(super) fn new(site: Site) -> Result<Instatus, ChannelError> {
        let token = site.token.as_deref();
        let authorization = token.map(|token| authorization("Bearer", token));
        Ok(Instatus {
            page: site.page()?,
            authorization: authorization.transpose()?,
            site,
        })
    }

    fn incident(&self, page: Page) -> Value {
        let (status, component) = match page {
            Page::Maintenance => ("IDENTIFIED", "UNDERMAINTENANCE"),
            Page::Operational => ("RESOLVED", "OPERATIONAL"),
            Page::Degraded => ("MONITORING", "DEGRADEDPERFORMANCE"),
            Page::MajorOutage => ("INVESTIGATING", "MAJOROUTAGE"),
        };
        let components = self.site.components.iter();
        let statuses: Vec<Value> = components
            .map(|id| json!({ "id": id, "status": component }))
            .collect();
        json!({
            "status": status,
            "message": page.message(),
            "components": self.site.components,
            "statuses": statuses,
            "notify": true,
        })
    }

    fn at(&self, parts: &[&str]) -> reqwest::Url {
        let root = [self.page.as_str(), "incidents"];
        self.site.http.below(&[&root, parts].concat())
    }
}

impl IncidentApi for Instatus {
    fn http(&self) -> &Http {
        &self.site.http
    }

    fn list(&self) -> Request {
        Request::get(self.at(&[])).authorized(self.authorization.as_ref())
    }

    /// It lists all of them: those that are resolved are not open.
    fn open(&self, answer: &Value) -> Option<Vec<(String, String)>> {
        let all = answer.as_array()?.iter();
        let open: Vec<Value> = all
            .filter(|incident| incident["status"] != "RESOLVED")
            .cloned()
            .collect();
        ids_and_names(&Value::Array(open), |incident| &incident["name"])
    }

    fn create(&self, name: &str, page: Page) -> Request {
        let mut incident = self.incident(page);
        incident["name"] = json!(name);
        Request::json(Method::POST, self.at(&[]), &incident).authorized(self.authorization.as_ref())
    }

    fn update(&self, id: &str, page: Page) -> Vec<Request> {
        let url = self.at(&[id, "incident-updates"]);
        let request = Request::json(Method::POST, url, &self.incident(page));
        vec![request.authorized(self.authorization.as_ref())]
    }
}
