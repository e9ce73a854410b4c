//! A request to the API server in memory, taken apart.

use http::Request;
use kube::client::Body;
use serde_json::Value;

use crate::testing::store::Filter;

/// A request, taken apart.
pub struct Call {
    /// HTTP method.
    pub method: String,
    /// Path.
    pub path: String,
    /// Query, decoded.
    pub query: Vec<(String, String)>,
    /// Type of the body.
    pub content_type: String,
    /// Body; null where it is no JSON.
    pub body: Value,
}

impl Call {
    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The right that it needs, as `list leases`.
    pub fn permission(&self) -> String {
        let mut parts = self
            .path
            .split('/')
            .skip_while(|part| *part != "namespaces");
        let parts = [parts.nth(1), parts.next(), parts.next()];
        let (resource, is_named) = match parts {
            [_, Some(resource), name] => (resource, name.is_some()),
            [namespace, None, _] => ("namespaces", namespace.is_some()),
        };
        let verb = match (self.method.as_str(), is_named) {
            ("GET", _) if self.query("watch").is_some() => "watch",
            ("GET", false) => "list",
            ("GET", true) => "get",
            ("POST", _) => "create",
            ("PATCH", _) => "patch",
            ("DELETE", _) => "delete",
            _ => "update",
        };
        format!("{verb} {resource}")
    }

    /// What a list or a watch is about.
    pub fn filter(&self) -> Filter {
        let name = self
            .query("fieldSelector")
            .and_then(|text| text.strip_prefix("metadata.name="));
        let labels = self.query("labelSelector").unwrap_or_default();
        let pair = |label: &str| match label.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (label.to_owned(), None),
        };
        Filter {
            collection: self.path.clone(),
            name: name.map(str::to_owned),
            labels: labels
                .split(',')
                .filter(|one| !one.is_empty())
                .map(pair)
                .collect(),
        }
    }
}

/// Takes a request apart.
pub async fn parse(request: Request<Body>) -> Result<Call, tower::BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect_bytes().await?;
    let query = parts.uri.query().unwrap_or_default();
    let decode = |text: &str| {
        let text = text
            .replace('+', " ")
            .replace("%2F", "/")
            .replace("%3D", "=");
        text.replace("%2C", ",").replace("%3A", ":")
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        Some((name.to_owned(), decode(value)))
    };
    let content_type = parts.headers.get(http::header::CONTENT_TYPE);
    Ok(Call {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: query.split('&').filter_map(pair).collect(),
        content_type: content_type
            .map_or("", |value| value.to_str().unwrap_or(""))
            .to_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
