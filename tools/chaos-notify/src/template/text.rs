//! Text from outside, made harmless.

use std::fmt::Write as _;

/// Stands where the stream does not tell.
pub(crate) const NOT_KNOWN: &str = "not known";

/// The longest text from outside that a message repeats at one place, in characters.
const MAX_TEXT: usize = 500;

/// Text from outside as one line of bounded length. Characters that turn the direction of a text,
/// or that nobody sees, are left out: a name could else show as another.
pub(crate) fn line(text: &str) -> String {
    let flat: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .filter(|c| !is_invisible(*c))
        .collect();
    let flat = flat.split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&flat, MAX_TEXT)
}

fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Each text as one line.
pub(crate) fn lines<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    texts.into_iter().map(|text| line(text.as_ref())).collect()
}

/// A text of at most so many characters; one that is cut ends in a mark.
pub(crate) fn cut(text: &str, most: usize) -> String {
    const MARK: &str = " ...";
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - MARK.len()).collect();
    format!("{}{MARK}", kept.trim_end())
}

/// `Name: value`, or the values in a list below; the first `most` of them.
pub(super) fn field(name: &str, values: &[String], most: usize) -> String {
    match values {
        [] => format!("{name}: {NOT_KNOWN}"),
        [one] => format!("{name}: {one}"),
        many => format!("{name}:\n{}", list(many, most)),
    }
}

/// The values, one a line, the first `most` of them.
pub(super) fn list(values: &[String], most: usize) -> String {
    if values.is_empty() {
        return format!("- {NOT_KNOWN}");
    }
    let mut text = String::new();
    for value in values.iter().take(most) {
        let _ = writeln!(text, "- {value}");
    }
    match values.len().checked_sub(most) {
        Some(left @ 1..) => format!("{text}- and {left} more"),
        _ => text.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_one_line() {
        assert_eq!(line("a\r\nBcc: x@y\n\n\tb"), "a Bcc: x@y b");
        assert_eq!(line("a\u{202e}b\u{200b}c\u{2028}d"), "abcd");
        assert_eq!(line(&"x".repeat(9000)).chars().count(), MAX_TEXT);
    }

    #[test]
    fn long_text_is_cut_between_characters_and_marked() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("ü ü ü ü ü ü", 9), "ü ü ü ...");
    }

    #[test]
    fn fields_are_inline_listed_or_not_known() {
        let values = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(field("A", &[], 2), "A: not known");
        assert_eq!(field("A", &values(1), 2), "A: 0");
        assert_eq!(field("A", &values(2), 2), "A:\n- 0\n- 1");
        assert_eq!(field("A", &values(3), 2), "A:\n- 0\n- 1\n- and 1 more");
        assert_eq!(list(&[], 2), "- not known");
    }
}
