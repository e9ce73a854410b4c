//! The forms that the runbook's messages are filled into.

mod message;

use std::fmt::Write as _;

pub(crate) use self::message::{Message, Page, contact_lines, contacts};

/// Stands where the stream does not tell.
pub(crate) const NOT_KNOWN: &str = "not known";

/// The most actions that a message lists.
pub(crate) const MOST_ACTIONS: usize = 15;

/// The longest text from outside that a message repeats at one place, in characters.
const MAX_TEXT: usize = 500;

/// Text from outside as one line of bounded length.
pub(crate) fn line(text: &str) -> String {
    let flat: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let flat = flat.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= MAX_TEXT {
        return flat;
    }
    let cut: String = flat.chars().take(MAX_TEXT).collect();
    format!("{cut} …")
}

/// Each text as one line.
pub(crate) fn lines<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    texts.into_iter().map(|text| line(text.as_ref())).collect()
}

/// `Name: value`, or the values in a list below; the first `most` of them.
pub(crate) fn field(name: &str, values: &[String], most: usize) -> String {
    match values {
        [] => format!("{name}: {NOT_KNOWN}"),
        [one] => format!("{name}: {one}"),
        many => {
            let mut text = format!("{name}:");
            for value in many.iter().take(most) {
                let _ = write!(text, "\n- {value}");
            }
            if many.len() > most {
                let _ = write!(text, "\n- and {} more", many.len() - most);
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_one_line() {
        assert_eq!(line("a\r\nBcc: x@y\n\n\tb"), "a Bcc: x@y b");
        assert!(line(&"x".repeat(9000)).chars().count() < MAX_TEXT + 3);
    }

    #[test]
    fn fields_are_inline_listed_or_not_known() {
        let values = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>();
        assert_eq!(field("A", &[], 2), "A: not known");
        assert_eq!(field("A", &values(1), 2), "A: 0");
        assert_eq!(field("A", &values(3), 2), "A:\n- 0\n- 1\n- and 1 more");
    }
}
