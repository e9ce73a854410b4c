//! A URL under load with what is wanted of it, as the pods of a Job are told.

use anyhow::Context as _;
use chaos_common::config::{DataPath, Expectation, Wanted};
use serde::Deserialize;
use serde_json::{Value, json};

use super::load::HttpUrl;
use crate::target::ServiceUrl;

/// The value of `chaos-verify load --target`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadTarget {
    url: String,
    #[serde(default)]
    statuses: Vec<u16>,
    answer: Option<Expectation>,
    data: Option<DataPath>,
    /// Certificates in PEM.
    ca: Option<String>,
}

/// A URL from such a value.
///
/// # Errors
/// It is no JSON of that form, or no URL.
pub(crate) fn parse(text: &str) -> anyhow::Result<HttpUrl> {
    let target: LoadTarget = serde_json::from_str(text).context("--target is not understood")?;
    let url = HttpUrl::parse(&target.url)?;
    Ok(HttpUrl {
        wanted: Wanted {
            statuses: target.statuses,
            answer: target.answer,
            data: target.data,
        },
        ca: target.ca.map(String::into_bytes),
        ..url
    })
}

/// The path of a Service as a URL to put load on.
///
/// # Errors
/// It makes no URL, or the file with its certificates can't be read.
pub(crate) fn of_service(url: &ServiceUrl) -> anyhow::Result<HttpUrl> {
    Ok(HttpUrl {
        wanted: url.wanted.clone(),
        ca: ca(url)?.map(String::into_bytes),
        ..HttpUrl::parse(&url.text())?
    })
}

/// The same as an argument of `chaos-verify load`: the URL alone where nothing is wanted of it, and
/// else a value of `--target`.
///
/// # Errors
/// The file with its certificates can't be read.
pub(crate) fn arguments(url: &ServiceUrl) -> anyhow::Result<Vec<String>> {
    let (wanted, ca) = (&url.wanted, ca(url)?);
    let plain = wanted.statuses.is_empty() && wanted.answer.is_none() && wanted.data.is_none();
    if plain && ca.is_none() {
        return Ok(vec![url.text()]);
    }
    let mut target = json!({ "url": url.text(), "statuses": wanted.statuses });
    if let Some(answer) = &wanted.answer {
        target["answer"] = said(&[
            ("status", answer.status.map(Value::from)),
            ("body", answer.body.clone().map(Value::from)),
            (
                "within",
                answer.within.map(|within| within.to_string().into()),
            ),
        ]);
    }
    if let Some(data) = &wanted.data {
        target["data"] = said(&[
            ("path", Some(data.path.clone().into())),
            ("status", data.status.map(Value::from)),
            ("min_items", data.min_items.map(Value::from)),
            ("json", Some(json!(data.json))),
        ]);
    }
    if let Some(ca) = ca {
        target["ca"] = ca.into();
    }
    Ok(vec!["--target".to_owned(), target.to_string()])
}

/// The fields that are there.
fn said(fields: &[(&str, Option<Value>)]) -> Value {
    let fields = fields.iter();
    let there = fields.filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
    Value::Object(there.collect())
}

fn ca(url: &ServiceUrl) -> anyhow::Result<Option<String>> {
    let Some(path) = url.endpoint.ca.as_ref().filter(|_| url.endpoint.tls) else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the certificates in {}", path.display()))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::cluster::probe::Endpoint;
    use chaos_common::record::Vantage;

    fn url(wanted: Wanted) -> ServiceUrl {
        ServiceUrl {
            endpoint: Endpoint {
                namespace: "prod".to_owned(),
                service: "shop".to_owned(),
                port: 80,
                vantage: Vantage::Direct,
                ..Endpoint::default()
            },
            path: "/health".to_owned(),
            service: "shop".to_owned(),
            vantage: "direct".to_owned(),
            wanted,
        }
    }

    #[test]
    fn pods_are_told_what_is_wanted_and_nothing_where_nothing_is() {
        let plain = arguments(&url(Wanted::default())).expect("no file");
        assert_eq!(plain, ["http://shop.prod:80/health"]);
        let answer = json!({ "status": 204, "body": "\"ok\"", "within": "500ms" });
        let data = json!({ "path": "/health", "min_items": 3, "json": { "/0": "x" } });
        let wanted = Wanted {
            statuses: vec![204],
            answer: Some(serde_json::from_value(answer).expect("an expectation")),
            data: Some(serde_json::from_value(data).expect("a path")),
        };
        let told = arguments(&url(wanted.clone())).expect("no file");
        assert_eq!(told[0], "--target");
        let read = parse(&told[1]).expect("it is understood");
        assert_eq!(read.text, "http://shop.prod:80/health");
        assert_eq!(format!("{:?}", read.wanted), format!("{wanted:?}"));
    }
}
