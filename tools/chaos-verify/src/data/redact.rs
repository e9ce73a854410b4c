//! Takes what looks like a secret out of a line of log.
//!
//! A line from outside can hold anything, so this errs on the side of hiding too much. It can't
//! know a password that stands in the middle of a sentence; lines are only samples, and few.

/// Stands for what was taken out.
const MASK: &str = "***";
/// A key with one of these in its name has a secret for a value.
const KEYS: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api_key",
    "api-key",
    "credential",
    "access_key",
    "private_key",
    "session",
    "cookie",
];
/// A run of so many letters and digits is more likely a key than a word.
const LONG: usize = 32;

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
    let lower = line.to_ascii_lowercase();
    // What follows these may have blanks in it; where it ends is not known.
    let end = ["authorization", "-----begin"]
        .iter()
        .filter_map(|start| lower.find(start))
        .min();
    let (line, cut) = match end {
        Some(end) => (&line[..end], true),
        None => (line, false),
    };
    let mut text = mask_words(&mask_values(&mask_users(line)));
    if cut {
        text.push_str("Authorization or key ");
        text.push_str(MASK);
    }
    text
}

/// `postgres://user:password@host` becomes `postgres://***@host`.
fn mask_users(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (head, tail) = rest.split_at(at + 3);
        text.push_str(head);
        let word = tail
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>'))
            .unwrap_or(tail.len());
        // The last @ of the word: a password may hold one.
        match tail[..word].rfind('@') {
            Some(user) => {
                text.push_str(MASK);
                rest = &tail[user..];
            }
            None => rest = tail,
        }
    }
    text.push_str(rest);
    text
}

/// `password=x`, `"api_key": "x"`, `--token x` become `password=***` and so on.
fn mask_values(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let mut text = String::new();
    let mut done = 0;
    while let Some((start, end)) = next_value(line, &lower, done) {
        text.push_str(&line[done..start]);
        text.push_str(MASK);
        done = end;
    }
    text.push_str(&line[done..]);
    text
}

/// Start and end of the next value, from `from` on, that belongs to a key with a telling name.
fn next_value(line: &str, lower: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let found = KEYS
            .iter()
            .filter_map(|key| lower[at..].find(key).map(|here| at + here + key.len()))
            .min()?;
        if let Some(value) = value_after(line, found) {
            return Some(value);
        }
        at = found;
    }
}

/// The value whose key has its telling part end at `end`.
fn value_after(line: &str, end: usize) -> Option<(usize, usize)> {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let key_start = line[..end].trim_end_matches(word).len();
    let option = line[key_start..end].starts_with("--");
    // The rest of the key's name, a closing quote, the sign between, an opening quote.
    let rest = line[end..]
        .trim_start_matches(word)
        .trim_start_matches(['"', '\'', '\\', ']']);
    let blanks = rest.len() - rest.trim_start().len();
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix([':', '=']) {
        Some(rest) => rest.trim_start_matches([':', '=', '>', ' ', '\\']),
        None if option && blanks > 0 => rest,
        None => return None,
    };
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let escaped = line[..line.len() - rest.len()].ends_with('\\');
    let rest = quote.map_or(rest, |quote| &rest[quote.len_utf8()..]);
    let start = line.len() - rest.len();
    let length = match quote {
        // The quote that ends the value is escaped if the one that began it is, and else is not.
        Some(quote) => rest
            .match_indices(quote)
            .map(|(at, _)| at)
            .find(|at| rest[..*at].ends_with('\\') == escaped),
        None => rest.find(|c: char| {
            c.is_whitespace() || matches!(c, ',' | ';' | '&' | '}' | ')' | ']' | '"' | '\'')
        }),
    };
    let end = start + length.unwrap_or(rest.len());
    (end > start).then_some((start, end))
}

/// Hides words after `Bearer` and `Basic`, and words that look like keys.
fn mask_words(line: &str) -> String {
    let mut text = String::new();
    let mut scheme = false;
    for word in line.split_inclusive(' ') {
        let bare = word.trim_end();
        if scheme && !bare.is_empty() {
            text.push_str(MASK);
            text.push_str(&word[bare.len()..]);
        } else {
            text.push_str(&mask_long(word));
        }
        let bare = bare.trim_matches(|c: char| !c.is_ascii_alphabetic());
        scheme = bare.eq_ignore_ascii_case("bearer") || bare.eq_ignore_ascii_case("basic");
    }
    text
}

/// Hides runs of letters and digits that are long and mixed, as keys, tokens and digests are.
fn mask_long(word: &str) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '=');
    let mut text = String::new();
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let (run, tail) = rest.split_at(end);
        let mixed = run.contains(|c: char| c.is_ascii_digit())
            && run.contains(|c: char| c.is_ascii_alphabetic());
        text.push_str(if run.len() >= LONG && mixed {
            MASK
        } else {
            run
        });
        let gap = tail.find(part).unwrap_or(tail.len());
        text.push_str(&tail[..gap]);
        rest = &tail[gap..];
    }
    text
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
        let long = "a1".repeat(20);
        assert_eq!(excerpt(&format!("ERROR key {long}"), 200), "ERROR key ***");
    }

    #[test]
    fn ordinary_lines_stay() {
        let line = "ERROR 2026-11-22 the backend does not answer: password authentication failed for user \"shop\"";
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
