//! Text from outside, made fit to be shown: nothing in it moves, hides or turns round what is
//! beside it, and nothing is longer than a reader would read.

use std::fmt::Write as _;

use serde_json::Value;

/// The longest text that a report repeats, in characters.
const MAX_TEXT: usize = 600;

/// The same data with every text in it cleaned.
pub(super) fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean_text(&text)),
        Value::Array(values) => values.into_iter().map(clean).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, clean(value)));
            Value::Object(fields.collect())
        }
        other => other,
    }
}

/// Without control characters, with invisible ones made visible, and cut.
pub(super) fn clean_text(text: &str) -> String {
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == MAX_TEXT {
            out.push_str(" …");
            break;
        }
        match c {
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => out.push(' '),
            c if is_invisible(c) => _ = write!(out, "⟨U+{:04X}⟩", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}

/// Marks that turn the direction of text or take no room (Unicode's `Bidi_Control` and zero-width
/// ones), and what XML does not allow.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_turns_or_hides_text_is_shown() {
        assert_eq!(clean_text("a\u{202e}b\u{200b}c"), "a⟨U+202E⟩b⟨U+200B⟩c");
        assert_eq!(clean_text("a\u{1b}[31m\r\nb\0"), "a [31m  b ");
        assert_eq!(clean_text("grün → 日本"), "grün → 日本");
    }

    #[test]
    fn a_megabyte_is_cut_wherever_it_stands() {
        let long = "x".repeat(1 << 20);
        let value = serde_json::json!({"a": [{"b": long}]});
        let text = clean(value)["a"][0]["b"]
            .as_str()
            .expect("a text")
            .to_owned();
        assert_eq!(text.chars().count(), MAX_TEXT + 2);
    }
}
