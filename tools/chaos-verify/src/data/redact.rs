//! Takes what looks like a secret out of a line of log.
//!
//! A line from outside can hold anything, so this errs on the side of hiding too much. It can't
//! know a password that stands in the middle of a sentence; lines are only samples, and few.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// Stands for what was taken out.
const MASK: &str = "***";

/// What follows these may have blanks in it; where it ends is not known.
static REST_OF_LINE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)(?:authorization|-----begin).*"));

/// User and password in a URL, up to the last @: a password may hold one.
static URL_USER: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(?<scheme>://)[^\s"'<>]*@"#));

/// The value of a key with a telling name: `password=x`, `"api_key": "x"`, `--token x`.
///
/// A quoted value ends at a quote that is escaped if the one that began it is, and else is not; one
/// that never ends goes to the end of the line.
static VALUE: LazyLock<Regex> = LazyLock::new(|| pattern(&VALUE_PATTERN.replace("SECRET", SECRET)));

const VALUE_PATTERN: &str = r#"(?x)
    (?<key>
        (?i: SECRET ) [\w.-]* ["'\\\]]* \s* [:=] [:=>\x20\\]*?
      | \B -- [\w.-]*? (?i: SECRET ) [\w.-]* ["'\\\]]* \s+ [:=>\\]*?
    )
    (?:
        (?<open> \\" ) (?: .*? \\ (?<close> " ) | .* )
      | (?<open2> \\' ) (?: .*? \\ (?<close2> ' ) | .* )
      | (?<open3> " ) (?: [^"]* \\ " )* [^"]* (?<close3> "? )
      | (?<open4> ' ) (?: [^']* \\ ' )* [^']* (?<close4> '? )
      | [^\s,;&})\]"':=>\\] [^\s,;&})\]"']*
    )"#;

/// Names of keys that have a secret for a value, in whole or in part.
const SECRET: &str = "password|passwd|passphrase|pwd|secret|token|api[_-]?key|credential\
    |access_key|private_key|session|cookie";

/// What comes after the name of a scheme of authentication, or after several.
static CREDENTIALS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)(?<scheme>(?:^|[^a-z])(?:[^a-z\s]*(?:bearer|basic)[^a-z\s]*\s+)+)\S+")
});

/// A run of letters and digits this long is more likely a key than a word, if it has both.
static LONG_RUN: LazyLock<Regex> = LazyLock::new(|| pattern(r"[A-Za-z0-9+_=]{32,}"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns of this file are right")
}

/// The line cut to `most` characters, on one line, and with `***` for what looks like a secret.
pub(crate) fn excerpt(line: &str, most: usize) -> String {
    let line: String = line
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let masked = mask(line.trim());
    let mut text: String = masked.chars().take(most).collect();
    if text.len() < masked.len() {
        text = text.chars().take(most - 1).collect();
        text.push('…');
    }
    text
}

fn mask(line: &str) -> String {
    let line = REST_OF_LINE.replace(line, "Authorization or key ***");
    let line = URL_USER.replace_all(&line, "${scheme}***@");
    let line = VALUE.replace_all(&line, |found: &Captures| {
        let part = |names: [&str; 4]| {
            let found = names.into_iter().find_map(|name| found.name(name));
            found.map_or("", |part| part.as_str())
        };
        let open = part(["open", "open2", "open3", "open4"]);
        let close = part(["close", "close2", "close3", "close4"]);
        format!("{}{open}{MASK}{close}", &found["key"])
    });
    let line = CREDENTIALS.replace_all(&line, "${scheme}***");
    let line = LONG_RUN.replace_all(&line, |found: &Captures| {
        let run = &found[0];
        let has = |kind: fn(&char) -> bool| run.chars().any(|c| kind(&c));
        if has(char::is_ascii_digit) && has(char::is_ascii_alphabetic) {
            MASK.to_owned()
        } else {
            run.to_owned()
        }
    });
    line.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_telling_keys_are_hidden() {
        for (line, masked) in [
            (
                "ERROR login password=hunter2 failed",
                "ERROR login password=*** failed",
            ),
            (
                r#"ERROR {"api_key": "abc def","n":1}"#,
                r#"ERROR {"api_key": "***","n":1}"#,
            ),
            ("ERROR PGPASSWORD='a b' x", "ERROR PGPASSWORD='***' x"),
            (
                "ERROR db_password_old: xyz, next",
                "ERROR db_password_old: ***, next",
            ),
            (
                "ERROR psql --password hunter2 -h db",
                "ERROR psql --password *** -h db",
            ),
            ("ERROR GET /a?token=t1&b=2", "ERROR GET /a?token=***&b=2"),
            (
                r#"ERROR {\"secret\":\"s3\"}"#,
                r#"ERROR {\"secret\":\"***"}"#,
            ),
            (r#"ERROR {"secret":"a\"b c"}"#, r#"ERROR {"secret":"***"}"#),
            (
                r#"ERROR {"secret":"never ends, b c"#,
                r#"ERROR {"secret":"***"#,
            ),
            ("ERROR Set-Cookie: sid=1", "ERROR Set-Cookie: ***"),
            ("ERROR a.token=1 b.token=2", "ERROR a.token=*** b.token=***"),
            ("ERROR 'token' => t1, x", "ERROR 'token' => ***, x"),
            ("ERROR --db-token 't1 t2' x", "ERROR --db-token '***' x"),
            ("ERROR --token = t1", "ERROR --token = ***"),
            (r#"ERROR "--token" \t1 x"#, r#"ERROR "--token" \*** x"#),
            (r#"ERROR pwd="a\\" b" c"#, r#"ERROR pwd="***" c"#),
        ] {
            assert_eq!(excerpt(line, 200), masked);
        }
    }

    #[test]
    fn users_in_urls_are_hidden_even_with_signs_in_the_password() {
        assert_eq!(
            excerpt("ERROR postgres://shop:p@ss/w@db:5432/x", 200),
            "ERROR postgres://***@db:5432/x"
        );
        assert_eq!(
            excerpt("ERROR see https://docs.example/a b@c", 200),
            "ERROR see https://docs.example/a b@c"
        );
    }

    #[test]
    fn headers_and_tokens_are_hidden() {
        assert!(!excerpt("ERROR Authorization: Bearer abc.def", 200).contains("abc"));
        assert_eq!(
            excerpt("ERROR sent Bearer abc.def to x", 200),
            "ERROR sent Bearer *** to x"
        );
        for (line, masked) in [
            ("ERROR [Basic]  abc.def", "ERROR [Basic]  ***"),
            ("ERROR Basic Bearer: abc.def", "ERROR Basic Bearer: ***"),
            ("basic Basic _Bearer .abc, x", "basic Basic _Bearer *** x"),
        ] {
            assert_eq!(excerpt(line, 200), masked);
        }
        let long = "a1".repeat(20);
        assert_eq!(excerpt(&format!("ERROR key {long}"), 200), "ERROR key ***");
    }

    #[test]
    fn ordinary_lines_stay() {
        let line = "ERROR 2026-11-22 the backend does not answer: \
                    password authentication failed for user \"shop\"";
        assert_eq!(excerpt(line, 200), line);
    }

    #[test]
    fn samples_are_cut_after_they_are_masked_and_hold_no_control_characters() {
        let text = excerpt(
            &format!("ERROR \x1b[31m{} password=hunter2", "ä ".repeat(95)),
            200,
        );
        assert_eq!(text.chars().count(), 200);
        assert!(
            !text.contains('\x1b') && !text.contains("hunter2") && text.ends_with('…'),
            "{text}"
        );
    }

    #[test]
    fn odd_lines_do_not_panic() {
        for line in [
            "password",
            "password=",
            "secret: ",
            "://@",
            "token=\"",
            "pässword=ß",
            "--token",
            "İpassword=x",
            "«password=x",
        ] {
            let _ = excerpt(line, 200);
        }
    }
}
