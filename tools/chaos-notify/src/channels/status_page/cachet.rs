//! Cachet, version 3.
//!
//! Source: docs.cachethq.io/v3.x, "Incidents" and "Incident Updates". It answers with
//! `{"data":{"id":…}}`. Its states of incidents are 1 investigating, 2 identified, 3 watching and
//! 4 fixed; of components 1 operational, 2 performance issues, 4 major outage and 5 under
//! maintenance.

use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use super::Site;
use super::incident::{IncidentApi, ids_and_names};
use crate::channels::error::ChannelError;
use crate::channels::http::{Http, Request, authorization};
use crate::template::Page;

/// A page of Cachet.
pub(super) struct Cachet {
    site: Site,
    authorization: Option<HeaderValue>,
}

impl Cachet {
    pub(super) fn new(site: Site) -> Result<Cachet, ChannelError> {
        let token = site.token.as_deref();
        let authorization = token.map(|token| authorization("Bearer", token));
        Ok(Cachet {
            authorization: authorization.transpose()?,
            site,
        })
    }

    fn request(&self, method: Method, parts: &[&str], body: &Value) -> Request {
        Request::json(method, self.site.http.below(parts), body)
            .authorized(self.authorization.as_ref())
    }
}

/// States of an incident and of its components.
fn states(page: Page) -> (u8, u8) {
    match page {
        Page::Maintenance => (2, 5),
        Page::Operational => (4, 1),
        Page::Degraded => (3, 2),
        Page::MajorOutage => (1, 4),
    }
}

impl IncidentApi for Cachet {
    fn http(&self) -> &Http {
        &self.site.http
    }

    fn list(&self) -> Request {
        let mut url = self.site.http.below(&["incidents"]);
        url.query_pairs_mut()
            .append_pair("filter[status]", "1,2,3")
            .append_pair("per_page", "100");
        Request::get(url).authorized(self.authorization.as_ref())
    }

    fn open(&self, answer: &Value) -> Option<Vec<(String, String)>> {
        // The attributes stand in an object of their own.
        ids_and_names(&answer["data"], |incident| {
            match incident.get("attributes") {
                Some(attributes) => &attributes["name"],
                None => &incident["name"],
            }
        })
    }

    fn create(&self, name: &str, page: Page) -> Request {
        let (status, component) = states(page);
        let components = self.site.components.iter();
        let components: Vec<Value> = components
            .map(|id| json!({ "id": number(id), "status": component }))
            .collect();
        let body = json!({
            "name": name,
            "message": page.message(),
            "status": status,
            "visible": true,
            "components": components,
        });
        self.request(Method::POST, &["incidents"], &body)
    }

    fn update(&self, id: &str, page: Page) -> Vec<Request> {
        let (status, component) = states(page);
        let components = self.site.components.iter();
        let mut requests: Vec<Request> = components
            .map(|of| {
                let body = json!({ "status": component });
                self.request(Method::PUT, &["components", of], &body)
            })
            .collect();
        let body = json!({ "message": page.message(), "status": status });
        requests.push(self.request(Method::POST, &["incidents", id, "updates"], &body));
        requests
    }
}

/// Cachet's ids are numbers.
fn number(id: &str) -> Value {
    id.parse::<u64>().map_or_else(|_| json!(id), |id| json!(id))
}
