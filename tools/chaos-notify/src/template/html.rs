//! The text of a message as HTML. It is made of the finished text, and every character of it is
//! escaped: nothing in it can be a tag.

use std::fmt::Write as _;

const HEAD: &str = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head>\n\
    <body style=\"font-family: sans-serif; font-size: 14px; color: #222\">\n";
const FOOT: &str = "</body></html>\n";

/// What a line of the text is.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Blank,
    /// `- value`
    Item(&'a str),
    /// `Name: value`
    Field(&'a str, &'a str),
    Prose(&'a str),
}

impl Line<'_> {
    fn of(text: &str) -> Line<'_> {
        let text = text.trim_end();
        if text.is_empty() {
            return Line::Blank;
        }
        if let Some(item) = text.strip_prefix("- ") {
            return Line::Item(item);
        }
        let is_name = |name: &str| name.len() < 25 && name.starts_with(char::is_uppercase);
        match text.split_once(':') {
            Some((name, value))
                if is_name(name) && (value.is_empty() || value.starts_with(' ')) =>
            {
                Line::Field(name, value.trim_start())
            }
            _ => Line::Prose(text),
        }
    }
}

/// The text as HTML: its first line as a heading, `Name: value` in bold, `- value` as a list.
pub(crate) fn html(text: &str, links: &[&str]) -> String {
    let mut out = HEAD.to_owned();
    let mut in_list = false;
    for (number, row) in text.lines().enumerate() {
        let kind = Line::of(row);
        let is_item = matches!(kind, Line::Item(_));
        if is_item != in_list {
            out.push_str(if is_item { "<ul>\n" } else { "</ul>\n" });
            in_list = is_item;
        }
        let _ = match kind {
            Line::Blank => Ok(()),
            _ if number == 0 => writeln!(out, "<h2>{}</h2>", escape(row)),
            Line::Item(item) => writeln!(out, "<li>{}</li>", escape(item)),
            Line::Field(name, value) => {
                let (name, value) = (escape(name), linked(value, links));
                writeln!(out, "<p style=\"margin: 2px 0\"><b>{name}:</b> {value}</p>")
            }
            Line::Prose(prose) => writeln!(out, "<p>{}</p>", escape(prose)),
        };
    }
    if in_list {
        out.push_str("</ul>\n");
    }
    out + FOOT
}

/// A value that is one of the message's own links becomes one; no other text does.
fn linked(value: &str, links: &[&str]) -> String {
    let text = escape(value);
    if links.contains(&value) {
        format!("<a href=\"{text}\">{text}</a>")
    } else {
        text
    }
}

/// Text that has no meaning to HTML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_text_is_a_tag() {
        let page = html("T\n\nTarget: <b>&\n- <script>x</script>\n'\"\n", &[]);
        for tag in ["<script", "<b>&", "'\""] {
            assert!(!page.contains(tag), "{page}");
        }
        assert!(page.contains("<b>Target:</b> &lt;b&gt;&amp;"), "{page}");
    }

    #[test]
    fn headings_fields_lists_and_the_links_own_line() {
        let page = html(
            "Title\n\nA: https://x/\nB:\n- 1\n- 2\n\nBye.\n",
            &["https://x/"],
        );
        let body = page
            .strip_prefix(HEAD)
            .and_then(|page| page.strip_suffix(FOOT));
        assert_eq!(
            body.expect("head and foot"),
            "<h2>Title</h2>\n<p style=\"margin: 2px 0\"><b>A:</b> <a href=\"https://x/\">https://x/</a></p>\n\
             <p style=\"margin: 2px 0\"><b>B:</b> </p>\n<ul>\n<li>1</li>\n<li>2</li>\n</ul>\n<p>Bye.</p>\n"
        );
        assert!(!html("T\nA: https://evil/\n", &["https://x/"]).contains("<a"));
    }
}
