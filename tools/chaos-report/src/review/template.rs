//! A review as Markdown.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{Environment, UndefinedBehavior};

use super::Document;
use crate::render::escape;

/// The document as Markdown. Every text is kept from having a meaning in it.
pub(crate) fn markdown(document: &Document) -> String {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()
        .expect("the default delimiters are good");
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_formatter(|out, _, value| {
        let text = if value.kind() == ValueKind::String {
            escape(value.as_str().unwrap_or_default())
        } else {
            value.to_string()
        };
        Ok(out.write_str(&text)?)
    });
    environment
        .add_template("review", include_str!("review.md.j2"))
        .and_then(|()| {
            environment
                .get_template("review")?
                .render(Value::from(Serde(document)))
        })
        .expect("the template is part of the tool, and tests render it")
}
