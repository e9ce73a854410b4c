//! Matchers of labels, as Prometheus and Alertmanager write them, and the alerts that they pick.
//! Source of the form: Alertmanager's documentation, "Configuration", `<matcher>`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

/// The most that a compiled expression may take, in bytes.
const SIZE: usize = 1 << 20;
/// The label that holds an alert's name.
const NAME: &str = "alertname";

/// One condition on a label: `namespace="shop"`, `!=`, `=~` or `!~`. A label that is not there has
/// the empty value. Regular expressions have to match the whole value.
#[derive(Clone, Debug)]
pub struct Matcher {
    label: String,
    negated: bool,
    value: Value,
    text: String,
}

#[derive(Clone, Debug)]
enum Value {
    Text(String),
    Expression(Regex),
}

/// Why a text is no matcher, or picks no alerts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// It is not of the form.
    #[error("{0:?} is no matcher: write LABEL=\"VALUE\", or !=, =~ or !~ in place of =")]
    Form(String),
    /// Its regular expression is none.
    #[error("{0:?} holds no regular expression that can be used")]
    Expression(String),
    /// It picks no alerts.
    #[error("{0:?} names no alert: write NAME, NAME{{LABEL=\"VALUE\"}} or {{LABEL=\"VALUE\"}}")]
    Alert(String),
}

impl Matcher {
    /// Whether labels satisfy it.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.label).map_or("", String::as_str);
        let equal = match &self.value {
            Value::Text(text) => text == value,
            Value::Expression(expression) => expression.is_match(value),
        };
        equal != self.negated
    }

    fn new(label: &str, operator: &str, value: &str, text: &str) -> Result<Matcher, MatcherError> {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if label.is_empty()
            || !label.chars().all(good)
            || label.starts_with(|c: char| c.is_ascii_digit())
        {
            return Err(MatcherError::Form(text.to_owned()));
        }
        let value = unquoted(value).ok_or_else(|| MatcherError::Form(text.to_owned()))?;
        let value = if operator.ends_with('~') {
            let whole = format!("^(?:{value})$");
            let built = RegexBuilder::new(&whole).size_limit(SIZE).build();
            Value::Expression(built.map_err(|_| MatcherError::Expression(text.to_owned()))?)
        } else {
            Value::Text(value)
        };
        Ok(Matcher {
            label: label.to_owned(),
            negated: operator.starts_with('!'),
            value,
            text: text.to_owned(),
        })
    }
}

/// A value without its quotes. One without any may not hold what ends it elsewhere.
fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        let plain = !text.contains(['"', ',', '{', '}', '=', '~', '!']);
        return plain.then(|| text.to_owned());
    };
    let mut value = String::new();
    let mut chars = inner.strip_suffix('"')?.chars();
    while let Some(c) = chars.next() {
        value.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                other => other,
            },
            '"' => return None,
            other => other,
        });
    }
    Some(value)
}

impl FromStr for Matcher {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Matcher, MatcherError> {
        let form = || MatcherError::Form(text.to_owned());
        let at = text.find(['=', '!']).ok_or_else(form)?;
        let (label, rest) = text.split_at(at);
        let operator = ["=~", "!~", "!=", "="]
            .into_iter()
            .find(|one| rest.starts_with(one));
        let operator = operator.ok_or_else(form)?;
        Matcher::new(
            label.trim(),
            operator,
            rest[operator.len()..].trim(),
            text.trim(),
        )
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Matcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Matcher, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Matcher {
    fn schema_name() -> Cow<'static, str> {
        "Matcher".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["namespace=\"shop\"", "team=~\"a|b\""] })
    }
}

/// Alerts by name and labels: `Down`, `Down{namespace="shop"}` or `{severity="critical"}`.
#[derive(Clone, Debug)]
pub struct AlertSelector {
    name: String,
    matchers: Vec<Matcher>,
    text: String,
}

impl AlertSelector {
    /// Whether an alert with these labels is one of them.
    pub fn picks(&self, labels: &BTreeMap<String, String>) -> bool {
        let named = self.name.is_empty() || labels.get(NAME) == Some(&self.name);
        named && self.matchers.iter().all(|matcher| matcher.matches(labels))
    }
}

impl FromStr for AlertSelector {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<AlertSelector, MatcherError> {
        let none = || MatcherError::Alert(text.to_owned());
        let (name, labels) = match text.split_once('{') {
            Some((name, rest)) => (name, rest.trim_end().strip_suffix('}').ok_or_else(none)?),
            None => (text, ""),
        };
        let name = name.trim();
        let matchers = list(labels)
            .into_iter()
            .map(str::parse)
            .collect::<Result<Vec<Matcher>, MatcherError>>()?;
        if name.contains(['"', '=', '}']) || (name.is_empty() && matchers.is_empty()) {
            return Err(none());
        }
        Ok(AlertSelector {
            name: name.to_owned(),
            matchers,
            text: text.trim().to_owned(),
        })
    }
}

/// The parts between commas that stand in no quotes.
fn list(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

impl fmt::Display for AlertSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for AlertSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AlertSelector, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for AlertSelector {
    fn schema_name() -> Cow<'static, str> {
        "AlertSelector".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["Down", "Down{namespace=\"shop\"}"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_matcher_is_prometheus_own() {
        let shop = labels(&[("namespace", "shop"), ("team", "a\"b")]);
        let of = |text: &str| text.parse::<Matcher>().expect(text).matches(&shop);
        assert!(of("namespace=\"shop\""));
        assert!(of("namespace = shop"));
        assert!(!of("namespace!=\"shop\""));
        assert!(of("namespace=~\"shop|store\""));
        assert!(!of("namespace=~\"sho\""), "the whole value has to match");
        assert!(of("namespace!~\"other.*\""));
        assert!(of("team=\"a\\\"b\""));
        assert!(of("cluster=\"\""), "a label that is not there is empty");
    }

    #[test]
    fn what_is_no_matcher_is_refused() {
        for text in [
            "",
            "namespace",
            "=shop",
            "a b=\"c\"",
            "1a=\"c\"",
            "a=\"b",
            "a=b,c=d",
        ] {
            let form = Err(MatcherError::Form(text.to_owned()));
            assert_eq!(text.parse::<Matcher>().map(|_| ()), form);
        }
        let wrong = "a=~\"(\"".parse::<Matcher>().map(|_| ());
        assert!(matches!(wrong, Err(MatcherError::Expression(_))));
    }

    #[test]
    fn alerts_are_picked_by_name_labels_or_both() {
        let alert = labels(&[
            ("alertname", "Down"),
            ("severity", "critical"),
            ("job", "a,b"),
        ]);
        let of = |text: &str| text.parse::<AlertSelector>().expect(text).picks(&alert);
        assert!(of("Down"));
        assert!(!of("Up"));
        assert!(of("Down{severity=\"critical\", job=\"a,b\"}"));
        assert!(!of("Down{severity=\"warning\"}"));
        assert!(of("{job=\"a,b\"}"));
        for text in [
            "",
            "{}",
            "Down{severity}",
            "Down{severity=\"x\"",
            "{a=\"b\"}x",
        ] {
            assert!(text.parse::<AlertSelector>().is_err(), "{text}");
        }
    }
}
