//! The templates, and how text from outside is kept from having a meaning in each format.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context, escape_formatter};
use serde_json::json;

use super::markdown;

/// The name of the escaping that Markdown needs.
const MARKDOWN: &str = "markdown";

const TEMPLATES: [(&str, &str); 9] = [
    ("report.md", include_str!("report.md")),
    ("summary.md", include_str!("summary.md")),
    ("review.md", include_str!("review.md")),
    ("review.html", include_str!("review.html")),
    ("patterns.html", include_str!("patterns.html")),
    ("report.html", include_str!("report.html")),
    ("figure.html", include_str!("figure.html")),
    ("report.css", include_str!("report.css")),
    ("junit.xml", include_str!("junit.xml")),
];

/// Fills a template with data that is clean.
///
/// # Panics
/// The template is wrong: it does not depend on what the data holds.
pub(super) fn fill(template: &str, data: serde_json::Value) -> String {
    let environment = environment();
    let template = environment.get_template(template);
    let template = template.expect("the templates are part of the program");
    let (marks, changes) = (words(MARKS), words(CHANGES));
    let data = Value::from(Serde(data));
    let filled = template.render(context! { marks, changes, ..data });
    filled.expect("the templates are tested with all that there is to fill in")
}

/// A sign for each status, told apart without colour.
const MARKS: [(&str, &str); 5] = [
    ("pass", "✓"),
    ("fail", "✗"),
    ("unknown", "?"),
    ("warn", "!"),
    ("skipped", "–"),
];

/// What a status says of a change.
const CHANGES: [(&str, &str); 5] = [
    ("pass", "better"),
    ("fail", "worse"),
    ("unknown", "unknown"),
    ("warn", "different"),
    ("skipped", "unknown"),
];

fn words(words: [(&str, &str); 5]) -> Value {
    let words = words.map(|(status, word)| (status.to_owned(), json!(word)));
    Value::from(Serde(serde_json::Map::from_iter(words)))
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    environment.set_syntax(syntax.expect("the delimiters are the usual ones"));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|name| match name.rsplit('.').next() {
        Some("html" | "xml") => AutoEscape::Html,
        Some("css") => AutoEscape::None,
        _ => AutoEscape::Custom(MARKDOWN.into()),
    });
    environment.set_formatter(|out, state, value| match state.auto_escape() {
        AutoEscape::Custom(_) if !value.is_safe() => {
            out.write_str(&markdown::escape(&value.to_string()))?;
            Ok(())
        }
        AutoEscape::Custom(_) => {
            out.write_str(&value.to_string())?;
            Ok(())
        }
        _ => escape_formatter(out, state, value),
    });
    for (name, source) in TEMPLATES {
        let added = environment.add_template(name, source);
        added.expect("the templates are tested");
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        let environment = environment();
        for (name, _) in TEMPLATES {
            assert!(environment.get_template(name).is_ok(), "{name}");
        }
    }
}
