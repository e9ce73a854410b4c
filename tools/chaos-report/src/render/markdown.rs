//! Markdown, with text from outside kept from having a meaning in it.

/// The longest text from outside that a report repeats, in characters.
const MAX_TEXT: usize = 600;

/// Words that the runbook greps for. Only the report's own lines may hold them.
const COUNTED: [&str; 3] = ["Status:", "Duration:", "Issues:"];

/// Text from outside as it may stand in a line, a list item or a table cell.
pub(crate) fn escape(text: &str) -> String {
    let flat = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|part| !part.is_empty());
    let flat = flat.collect::<Vec<_>>().join(" ");
    let mut out = String::with_capacity(flat.len() + 8);
    let mut before = ' ';
    let mut rest = flat.chars().peekable();
    let mut taken = 0;
    while let Some(c) = rest.next() {
        if taken == MAX_TEXT {
            out.push_str(" …");
            break;
        }
        taken += 1;
        let inner = before.is_alphanumeric() && rest.peek().is_some_and(|c| c.is_alphanumeric());
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '|' | '[' | ']' | '~' | '$' => out.extend(['\\', c]),
            '_' if !inner => out.extend(['\\', c]),
            // A sign before a number begins no list.
            '-' | '+' if rest.peek().is_some_and(char::is_ascii_digit) => out.push(c),
            '#' | '-' | '+' | '=' if out.is_empty() => out.extend(['\\', c]),
            ':' if COUNTED
                .iter()
                .any(|word| out.ends_with(&word[..word.len() - 1])) =>
            {
                out.push_str("\\:");
            }
            _ => out.push(c),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_keeps_to_its_cell() {
        assert_eq!(escape("a|b\n| c"), "a\\|b \\| c");
        assert_eq!(
            escape("# <img src=x> [x](y) *b* `c`"),
            "\\# &lt;img src=x&gt; \\[x\\](y) \\*b\\* \\`c\\`"
        );
        assert_eq!(escape("pod_name_x _em_"), "pod_name_x \\_em\\_");
        assert_eq!(escape("\u{1b}[31mred"), "\\[31mred");
        assert_eq!(escape("- x"), "\\- x");
        assert_eq!(escape("-1.5 s"), "-1.5 s");
    }

    #[test]
    fn text_from_outside_is_not_counted_by_the_runbooks_greps() {
        assert_eq!(escape("HTTP Status: 500"), "HTTP Status\\: 500");
        assert_eq!(escape("Duration:Issues:"), "Duration\\:Issues\\:");
    }

    #[test]
    fn long_text_is_cut() {
        assert!(escape(&"x".repeat(100_000)).chars().count() < MAX_TEXT + 3);
    }
}
