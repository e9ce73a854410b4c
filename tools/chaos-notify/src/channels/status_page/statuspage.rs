//! Atlassian Statuspage.
//!
//! Source: developer.statuspage.io, "Incidents". It answers with the incident; 420 and 429 say that
//! it was asked too often.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Map, Value, json};

use super::Site;
use super::incident::{IncidentApi, ids_and_names};
use crate::channels::error::ChannelError;
use crate::channels::http::{Http, Request, authorization};
use crate::template::Page;

/// One request a second, of which a message takes two: developer.statuspage.io, "Rate Limiting".
const INTERVAL: Duration = Duration::from_secs(2);

/// A page at Statuspage.
pub(super) struct Statuspage {
    site: Site,
    page: String,
    authorization: Option<HeaderValue>,
}

impl Statuspage {
    pub(super) fn new(site: Site) -> Result<Statuspage, ChannelError> {
        let token = site.token.as_deref();
        let authorization = token.map(|token| authorization("OAuth", token));
        Ok(Statuspage {
            page: site.page()?,
            authorization: authorization.transpose()?,
            site,
        })
    }

    fn incident(&self, page: Page) -> Value {
        let (status, component) = match page {
            Page::Maintenance => ("identified", "under_maintenance"),
            Page::Operational => ("resolved", "operational"),
            Page::Degraded => ("monitoring", "degraded_performance"),
            Page::MajorOutage => ("investigating", "major_outage"),
        };
        let components = self.site.components.iter();
        let components: Map<String, Value> = components
            .map(|id| (id.clone(), json!(component)))
            .collect();
        json!({
            "status": status,
            "body": page.message(),
            "components": components,
            "component_ids": self.site.components,
        })
    }

    fn at(&self, parts: &[&str]) -> reqwest::Url {
        let root = ["pages", &self.page, "incidents"];
        self.site.http.below(&[&root, parts].concat())
    }
}

impl IncidentApi for Statuspage {
    fn http(&self) -> &Http {
        &self.site.http
    }

    fn list(&self) -> Request {
        Request::get(self.at(&["unresolved"])).authorized(self.authorization.as_ref())
    }

    fn open(&self, answer: &Value) -> Option<Vec<(String, String)>> {
        ids_and_names(answer, |incident| &incident["name"])
    }

    fn create(&self, name: &str, page: Page) -> Request {
        let mut incident = self.incident(page);
        incident["name"] = json!(name);
        let body = json!({ "incident": incident });
        Request::json(Method::POST, self.at(&[]), &body).authorized(self.authorization.as_ref())
    }

    fn update(&self, id: &str, page: Page) -> Vec<Request> {
        let body = json!({ "incident": self.incident(page) });
        let request = Request::json(Method::PATCH, self.at(&[id]), &body);
        vec![request.authorized(self.authorization.as_ref())]
    }

    fn interval(&self) -> Duration {
        INTERVAL
    }

    fn busy(&self) -> &'static [u16] {
        &[420]
    }
}
