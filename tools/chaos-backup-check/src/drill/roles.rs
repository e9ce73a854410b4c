//! The roles that a script of SQL names and does not make: owners, and who has rights.

use std::collections::BTreeSet;

use super::error::DrillError;
use super::feed::Feed;

/// What stands before the name of a role, in the statements of `pg_dump` that begin with these
/// words.
const BEFORE: [&str; 7] = [
    " OWNER TO ",
    " TO ",
    " FROM ",
    " FOR ROLE ",
    " MAPPING FOR ",
    " AUTHORIZATION ",
    " GRANTED BY ",
];
const STATEMENTS: [&str; 7] = [
    "ALTER ",
    "GRANT ",
    "REVOKE ",
    "CREATE SCHEMA ",
    "CREATE POLICY ",
    "CREATE USER MAPPING ",
    "SET SESSION AUTHORIZATION ",
];
/// A line is looked at as far as this; `pg_dump` writes what matters on short ones.
const MAX_LINE: usize = 64 << 10;

/// Reads a script to its end. A name too many does no harm where the roles are made to be thrown
/// away.
pub(crate) async fn named(mut script: Feed) -> Result<BTreeSet<String>, DrillError> {
    let (mut roles, mut line, mut rows) = (BTreeSet::new(), Vec::new(), false);
    while let Some(piece) = script.next().await? {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            line.extend(&part[..part.len().min(MAX_LINE.saturating_sub(line.len()))]);
            if !part.ends_with(b"\n") {
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            rows = if rows {
                text != "\\."
            } else {
                text.starts_with("COPY ") && text.ends_with(" FROM stdin;")
            };
            if !rows {
                roles.extend(in_line(text));
            }
            line.clear();
        }
    }
    Ok(roles)
}

fn in_line(line: &str) -> Vec<String> {
    if !STATEMENTS
        .iter()
        .any(|statement| line.starts_with(statement))
    {
        return Vec::new();
    }
    let behind = |before: &&str| {
        line.match_indices(*before)
            .map(|(at, found)| &line[at + found.len()..])
            .collect::<Vec<_>>()
    };
    BEFORE.iter().flat_map(behind).flat_map(names).collect()
}

/// The names that a text begins with, between commas: a policy may be for several roles.
fn names(text: &str) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), text);
    while let Some((found, length)) = name(rest) {
        names.push(found);
        match rest[length..].strip_prefix(", ") {
            Some(more) => rest = more,
            None => break,
        }
    }
    names
}

/// The name that a text begins with, as SQL writes names, and how many bytes it takes there.
fn name(text: &str) -> Option<(String, usize)> {
    let Some(quote) = text
        .chars()
        .next()
        .filter(|first| matches!(first, '"' | '\''))
    else {
        let end = text
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
            .unwrap_or(text.len());
        let keyword =
            ["PUBLIC", "ROLE", "DEFAULT", "CURRENT_USER", "SESSION_USER"].contains(&&text[..end]);
        return (end > 0 && !keyword).then(|| (text[..end].to_owned(), end));
    };
    let mut name = String::new();
    let mut rest = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = rest.next() {
        if c != quote {
            name.push(c);
        } else if rest.next_if(|(_, next)| *next == quote).is_some() {
            name.push(quote);
        } else {
            return Some((name, at + quote.len_utf8())).filter(|(name, _)| !name.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_and_who_has_rights_are_found_and_rows_are_not_looked_at() {
        let script = "ALTER TABLE public.users OWNER TO app;\nALTER SCHEMA \"a b\" OWNER TO \"the \"\"own\"\"er\";\n\
            COPY public.users (id, note) FROM stdin;\n1\tx\nGRANT ALL ON x TO nobody;\n\\.\n\
            GRANT SELECT ON TABLE public.users TO reader;\nREVOKE ALL ON SCHEMA public FROM PUBLIC;\n\
            ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA public GRANT SELECT ON TABLES TO looker;\n\
            CREATE POLICY p ON public.t FOR SELECT TO anon, \"web user\" USING (true);\n\
            CREATE USER MAPPING FOR mapped SERVER s OPTIONS (user 'x');\n\
            CREATE SCHEMA s AUTHORIZATION keeper;\nSET SESSION AUTHORIZATION 'other';\n";
        let found = chaos_common::cli::block_on(named(Feed::bytes(script.into()))).expect("read");
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(
            found,
            [
                "anon",
                "app",
                "keeper",
                "looker",
                "maker",
                "mapped",
                "other",
                "reader",
                "the \"own\"er",
                "web user"
            ]
        );
    }
}
