//! Names and constants as SQL has them.

/// A table's name from the configuration as SQL has it: `users`, `public.users`, `"a.b"`. Each part
/// means exactly itself, in upper and lower case; a part in double quotes is read as PostgreSQL
/// reads it. `None` if no table can have the name.
pub fn quoted(table: &str) -> Option<String> {
    let mut parts = Vec::new();
    let mut rest = table;
    loop {
        let (part, tail) = match in_quotes(rest) {
            Some((part, tail)) => (part, tail),
            None => match rest.split_once('.') {
                Some((part, _)) => (part.to_owned(), &rest[part.len()..]),
                None => (rest.to_owned(), ""),
            },
        };
        if part.is_empty() || part.contains('\0') {
            return None;
        }
        parts.push(identifier(&part));
        match tail.strip_prefix('.') {
            Some(tail) => rest = tail,
            None => break,
        }
    }
    (parts.len() <= 2).then(|| parts.join("."))
}

/// A name that means exactly itself.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A part in double quotes at the start, and what follows it: the end or a dot.
fn in_quotes(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut part = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            part.push(c);
        } else if chars.next_if(|(_, next)| *next == '"').is_some() {
            part.push('"');
        } else {
            let tail = &inner[at + 1..];
            return (tail.is_empty() || tail.starts_with('.')).then_some((part, tail));
        }
    }
    None
}

/// A string constant. `E` makes it mean the same whatever `standard_conforming_strings` is.
pub fn literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_so_that_nothing_in_them_is_sql() {
        for (name, sql) in [
            ("users", r#""users""#),
            ("public.users", r#""public"."users""#),
            ("Weird\"Name", r#""Weird""Name""#),
            (r#""a.b".c"#, r#""a.b"."c""#),
            (r#""a""b""#, r#""a""b""#),
            (r#""a"b"#, r#""""a""b""#),
            ("users; DROP TABLE users", r#""users; DROP TABLE users""#),
            ("o'brien", r#""o'brien""#),
        ] {
            assert_eq!(quoted(name).as_deref(), Some(sql), "{name}");
        }
        for name in ["", ".users", "users.", "a.b.c", "a\0b", "\"\""] {
            assert_eq!(quoted(name), None, "{name}");
        }
    }

    #[test]
    fn literals_end_where_they_should() {
        assert_eq!(literal(r#""o'brien\""#), r#"E'"o''brien\\"'"#);
    }
}
