//! Which lines of a workload's logs tell of errors.

use std::borrow::Cow;
use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// What is searched for where nothing else is said, as the runbook's `grep` does.
const USUAL: &str = "ERROR";
/// The most that a compiled pattern may take, in bytes.
const SIZE: usize = 1 << 20;

/// Patterns of lines that tell of errors: `true` for lines with ERROR, or a list of regular
/// expressions, such as `["ERROR", "FATAL", "panic(ked)?"]`. None: the logs are not searched.
#[derive(Clone, Debug, Default)]
pub struct LogPatterns(Vec<Regex>);

impl LogPatterns {
    /// Whether the logs are not searched.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns as they are written.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Regex::as_str)
    }

    /// Which of them a line matches, by position.
    pub fn matches(&self, line: &[u8]) -> impl Iterator<Item = usize> {
        self.0
            .iter()
            .enumerate()
            .filter(move |(_, pattern)| pattern.is_match(line))
            .map(|(at, _)| at)
    }

    /// Whether a line matches any.
    pub fn is_match(&self, line: &[u8]) -> bool {
        self.matches(line).next().is_some()
    }
}

fn pattern<E: Error>(text: &str) -> Result<Regex, E> {
    if text.is_empty() {
        return Err(E::custom("an empty pattern is in every line"));
    }
    let built = RegexBuilder::new(text).size_limit(SIZE).build();
    built.map_err(|error| E::custom(format!("{text:?} is no regular expression: {error}")))
}

impl<'de> Deserialize<'de> for LogPatterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<LogPatterns, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = LogPatterns;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("true, false, or a list of regular expressions")
            }
            fn visit_bool<E: Error>(self, on: bool) -> Result<LogPatterns, E> {
                Ok(LogPatterns(if on {
                    vec![pattern(USUAL)?]
                } else {
                    Vec::new()
                }))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<LogPatterns, A::Error> {
                let mut patterns = Vec::new();
                while let Some(text) = list.next_element::<String>()? {
                    patterns.push(pattern(&text)?);
                }
                Ok(LogPatterns(patterns))
            }
        }
        deserializer.deserialize_any(Form)
    }
}

impl JsonSchema for LogPatterns {
    fn schema_name() -> Cow<'static, str> {
        "LogPatterns".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "anyOf": [{ "type": "boolean" }, { "type": "array", "items": { "type": "string" } }] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<LogPatterns, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn true_is_the_usual_word_and_a_list_is_of_patterns() {
        assert!(read(serde_json::json!(false)).expect("none").is_empty());
        let usual = read(serde_json::json!(true)).expect("the usual one");
        assert!(usual.is_match(b"[ERROR] x") && !usual.is_match(b"error"));
        let some = read(serde_json::json!(["(?i)error", "panic(ked)? at"])).expect("patterns");
        assert_eq!(
            some.matches(b"an Error: panicked at \xff")
                .collect::<Vec<_>>(),
            [0, 1]
        );
        assert!(!some.is_match(b"all is well"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (json, words) in [
            (serde_json::json!(["("]), "no regular expression"),
            (serde_json::json!([""]), "in every line"),
            (
                serde_json::json!(["a{1000}{1000}{1000}"]),
                "no regular expression",
            ),
            (serde_json::json!("ERROR"), "true, false, or a list"),
        ] {
            let error = read(json).expect_err("refused");
            assert!(error.contains(words), "{error}");
        }
    }
}
