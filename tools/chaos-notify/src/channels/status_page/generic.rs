//! The runbook's call: status and message, posted to a URL.

use chaos_common::record::Occasion;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;

use super::Site;
use crate::channels::error::ChannelError;
use crate::channels::http::{Http, Reply, Request, authorization};
use crate::channels::service::{Reading, Service};
use crate::template::{Message, Page};

/// A page with the runbook's API.
pub(super) struct Generic {
    http: Http,
    authorization: Option<HeaderValue>,
}

impl Generic {
    pub(super) fn new(site: Site) -> Result<Generic, ChannelError> {
        let token = site.token.as_deref();
        let authorization = token.map(|token| authorization("Bearer", token));
        Ok(Generic {
            http: site.http,
            authorization: authorization.transpose()?,
        })
    }
}

impl Service for Generic {
    fn http(&self) -> &Http {
        &self.http
    }

    fn request(&self, message: &Message) -> Request {
        let page = message.page.unwrap_or(Page::Degraded);
        let body = json!({ "status": page.status(), "message": page.message() });
        Request::json(Method::POST, self.http.url(), &body).authorized(self.authorization.as_ref())
    }

    /// It is nobody's API in particular: a success is what does not say otherwise. A page for
    /// people is none.
    fn reading(&self, reply: &Reply) -> Reading {
        if reply.body.trim_start().starts_with('<') {
            return Reading::Foreign;
        }
        let json = reply.json().unwrap_or_default();
        let no = ["ok", "success"].iter().any(|key| json[key] == false);
        let error = json.get("error").or_else(|| json.get("errors"));
        match error.filter(|error| !error.is_null()) {
            Some(error) => Reading::Refused(error.to_string()),
            None if no => Reading::Refused(reply.body.clone()),
            None => Reading::Taken("taken".to_owned(), None),
        }
    }

    fn unconcerned(&self, message: &Message) -> Option<&'static str> {
        if message.occasion == Occasion::Test {
            return Some("a status page has no harmless message: the public would read it");
        }
        let changes = message.page.is_some();
        (!changes).then_some("this occasion changes nothing on a status page")
    }

    fn shows_state(&self) -> bool {
        true
    }
}
