//! Label selectors as people and the subresource `scale` write them, made into what objects have.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// A part of a selector that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the label selector can't be understood at {0:?}")]
pub struct SelectorError(String);

/// The selector in a text such as `app=db,tier in (a, b),!test`.
///
/// # Errors
/// A part of it is no term of a selector.
pub fn parse(text: &str) -> Result<LabelSelector, SelectorError> {
    let mut selector = LabelSelector::default();
    for term in terms(text) {
        match requirement(term)? {
            (key, Term::Is(value)) => {
                selector
                    .match_labels
                    .get_or_insert_default()
                    .insert(key, value);
            }
            (key, Term::Other(operator, values)) => {
                let requirement = LabelSelectorRequirement {
                    key,
                    operator: operator.to_owned(),
                    values: Some(values).filter(|values| !values.is_empty()),
                };
                selector
                    .match_expressions
                    .get_or_insert_default()
                    .push(requirement);
            }
        }
    }
    Ok(selector)
}

/// What is asked of a label.
enum Term {
    Is(String),
    Other(&'static str, Vec<String>),
}

/// The terms, between commas that are in no parentheses.
fn terms(text: &str) -> Vec<&str> {
    let mut inside = false;
    let split = text.split(move |c| {
        inside = (inside || c == '(') && c != ')';
        c == ',' && !inside
    });
    split
        .map(str::trim)
        .filter(|term| !term.is_empty())
        .collect()
}

fn requirement(term: &str) -> Result<(String, Term), SelectorError> {
    let wrong = || SelectorError(term.to_owned());
    let (key, asked) = if let Some(list) = term.strip_suffix(')') {
        let (head, values) = list.split_once('(').ok_or_else(wrong)?;
        let (key, operator) = head.trim().rsplit_once(' ').ok_or_else(wrong)?;
        let operator = match operator {
            "in" => "In",
            "notin" => "NotIn",
            _ => return Err(wrong()),
        };
        let values = values.split(',').map(|value| value.trim().to_owned());
        (key, Term::Other(operator, values.collect()))
    } else if let Some((key, value)) = term.split_once("!=") {
        (key, Term::Other("NotIn", vec![value.trim().to_owned()]))
    } else if let Some((key, value)) = term.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value);
        (key, Term::Is(value.trim().to_owned()))
    } else if let Some(key) = term.strip_prefix('!') {
        (key, Term::Other("DoesNotExist", Vec::new()))
    } else {
        (term, Term::Other("Exists", Vec::new()))
    };
    let key = key.trim();
    if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "=!<>()".contains(c)) {
        return Err(wrong());
    }
    Ok((key.to_owned(), asked))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_read_as_kubectl_writes_it() {
        let text = "app=db,tier in (a, b),env!=test,!old,example.com/new,zone==x";
        let parsed = parse(text).expect("good");
        let expected = json!({
            "matchLabels": { "app": "db", "zone": "x" },
            "matchExpressions": [
                { "key": "tier", "operator": "In", "values": ["a", "b"] },
                { "key": "env", "operator": "NotIn", "values": ["test"] },
                { "key": "old", "operator": "DoesNotExist" },
                { "key": "example.com/new", "operator": "Exists" },
            ],
        });
        assert_eq!(json!(parsed), expected);
        // And it is the same when it is written again.
        let written = chaos_common::cluster::label_selector(&parsed);
        assert_eq!(parse(&written), Ok(parsed));
    }

    #[test]
    fn what_is_no_term_is_refused_and_not_left_out() {
        for text in ["a b", "a in b", "a near (b)", "=b", "count>3", "(a)"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
