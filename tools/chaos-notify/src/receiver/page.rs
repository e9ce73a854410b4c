//! What whoever follows a link sees.

use chaos_common::record::Acknowledgement;

use crate::template::escape;

/// How long a name may be, in characters.
pub(super) const MAX_NAME: usize = 80;

const STYLE: &str = "body{font:16px sans-serif;max-width:40em;margin:2em auto;padding:0 1em}\
    button{font-size:1.2em;padding:.5em 1em}input{font-size:1.1em;padding:.3em}";

/// Asks for an acknowledgement. Whatever looks at the page acknowledges nothing: that takes the
/// button.
pub(super) fn question(subject: &str, run: &str, name: &str) -> String {
    let (subject, run, name) = (escape(subject), escape(run), escape(name));
    page(&format!(
        "<h1>{subject}</h1>\n<p>Run: {run}</p>\n<form method=\"post\">\n\
         <p><label>Your name: <input name=\"name\" maxlength=\"{MAX_NAME}\" value=\"{name}\"></label></p>\n\
         <p><button>I acknowledge this</button></p>\n</form>\n\
         <p>After that nobody else is told. It does not repair the system.</p>"
    ))
}

/// Says who acknowledged it.
pub(super) fn answered(subject: &str, answer: &Acknowledgement) -> String {
    let (subject, by, via) = (escape(subject), escape(&answer.by), escape(&answer.via));
    let time = answer.time.human();
    page(&format!(
        "<h1>{subject}</h1>\n<p>Acknowledged by <b>{by}</b> ({via}) at {time}.</p>"
    ))
}

/// Says in a sentence why there is nothing else.
pub(super) fn sentence(text: &str) -> String {
    page(&format!("<p>{}</p>", escape(text)))
}

fn page(body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"robots\" content=\"noindex\">\n\
         <title>chaos-notify</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_page_is_a_tag_but_its_own() {
        let page = question("<script>x</script>", "r\"", "\"><img>");
        assert!(
            !page.contains("<script") && !page.contains("<img"),
            "{page}"
        );
        assert!(!page.contains("value=\"\">"), "{page}");
    }
}
