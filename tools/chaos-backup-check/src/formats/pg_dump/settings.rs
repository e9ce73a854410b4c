//! The entries of a table of contents that pg_restore acts on without asking the server: kinds that
//! it knows, and the settings of the session (`processEncodingEntry` and its likes in PostgreSQL's
//! `pg_backup_archiver.c`).

use crate::formats::error::FormatError;

/// Every kind of entry that pg_dump of PostgreSQL 9.0 to 18 writes.
const KINDS: [&str; 75] = [
    "ACCESS METHOD",
    "ACL",
    "ACL LANGUAGE",
    "AGGREGATE",
    "BLOB",
    "BLOB COMMENTS",
    "BLOB METADATA",
    "BLOBS",
    "CAST",
    "CHECK CONSTRAINT",
    "COLLATION",
    "COMMENT",
    "CONSTRAINT",
    "CONVERSION",
    "DATABASE",
    "DATABASE PROPERTIES",
    "DEFAULT",
    "DEFAULT ACL",
    "DOMAIN",
    "ENCODING",
    "EVENT TRIGGER",
    "EXTENSION",
    "FK CONSTRAINT",
    "FOREIGN DATA WRAPPER",
    "FOREIGN SERVER",
    "FOREIGN TABLE",
    "FUNCTION",
    "INDEX",
    "INDEX ATTACH",
    "LANGUAGE",
    "LARGE OBJECT",
    "MATERIALIZED VIEW",
    "MATERIALIZED VIEW DATA",
    "OPERATOR",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "POLICY",
    "PROCEDURAL LANGUAGE",
    "PROCEDURE",
    "PUBLICATION",
    "PUBLICATION TABLE",
    "PUBLICATION TABLES IN SCHEMA",
    "ROW SECURITY",
    "RULE",
    "SCHEMA",
    "SEARCHPATH",
    "SECURITY LABEL",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "SEQUENCE SET",
    "SERVER",
    "SHELL TYPE",
    "STATISTICS",
    "STATISTICS DATA",
    "STDSTRINGS",
    "SUBSCRIPTION",
    "SUBSCRIPTION TABLE",
    "TABLE",
    "TABLE ATTACH",
    "TABLE DATA",
    "TABLESPACE",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "TEXT SEARCH PARSER",
    "TEXT SEARCH TEMPLATE",
    "TRANSFORM",
    "TRIGGER",
    "TYPE",
    "USER MAPPING",
    "VIEW",
    "WARNING",
    "pg_largeobject",
    "NOT NULL CONSTRAINT",
    "PROPERTY GRAPH",
    "ROLE",
];

/// The encodings of databases and of clients, by PostgreSQL's names ("Character Set Support" in its
/// manual).
const ENCODINGS: [&str; 42] = [
    "BIG5",
    "EUC_CN",
    "EUC_JP",
    "EUC_JIS_2004",
    "EUC_KR",
    "EUC_TW",
    "GB18030",
    "GBK",
    "ISO_8859_5",
    "ISO_8859_6",
    "ISO_8859_7",
    "ISO_8859_8",
    "JOHAB",
    "KOI8R",
    "KOI8U",
    "LATIN1",
    "LATIN2",
    "LATIN3",
    "LATIN4",
    "LATIN5",
    "LATIN6",
    "LATIN7",
    "LATIN8",
    "LATIN9",
    "LATIN10",
    "MULE_INTERNAL",
    "SJIS",
    "SHIFT_JIS_2004",
    "SQL_ASCII",
    "UHC",
    "UTF8",
    "WIN866",
    "WIN874",
    "WIN1250",
    "WIN1251",
    "WIN1252",
    "WIN1253",
    "WIN1254",
    "WIN1255",
    "WIN1256",
    "WIN1257",
    "WIN1258",
];

/// Whether pg_restore knows what an entry is, and takes it where it is a setting.
pub(super) fn check(kind: &str, definition: &str) -> Result<(), FormatError> {
    match kind {
        "ENCODING" => match text_of(definition, "SET client_encoding = ") {
            Some(encoding) if ENCODINGS.contains(&encoding) => Ok(()),
            _ => not_taken("the encoding of its texts", definition),
        },
        "STDSTRINGS" => match text_of(definition, "SET standard_conforming_strings = ") {
            Some("on" | "off") => Ok(()),
            _ => not_taken("the setting standard_conforming_strings", definition),
        },
        "SEARCHPATH" => {
            let path = definition.strip_prefix("SELECT pg_catalog.set_config('search_path', '");
            if path.is_some_and(|rest| rest.trim_end().ends_with("', false);")) {
                Ok(())
            } else {
                not_taken("the search path", definition)
            }
        }
        _ if KINDS.contains(&kind) => Ok(()),
        _ => FormatError::cannot_tell(format!(
            "has an entry of the kind {kind:?}, which pg_dump of PostgreSQL 9.0 to 18 does not write"
        )),
    }
}

/// What stands in quotes behind this, to the end of the statement.
fn text_of<'d>(definition: &'d str, before: &str) -> Option<&'d str> {
    let rest = definition.strip_prefix(before)?.trim_end();
    rest.strip_prefix('\'')?.strip_suffix("';")
}

fn not_taken(what: &str, definition: &str) -> Result<(), FormatError> {
    FormatError::damaged(format!(
        "is damaged: {what} cannot be {:?}",
        definition.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_those_that_pg_restore_takes() {
        let path = "SELECT pg_catalog.set_config('search_path', '', false);\n";
        for (kind, definition) in [
            ("ENCODING", "SET client_encoding = 'UTF8';\n"),
            ("STDSTRINGS", "SET standard_conforming_strings = 'on';\n"),
            ("SEARCHPATH", path),
            ("TABLE", "CREATE TABLE a ();\n"),
        ] {
            check(kind, definition).expect(kind);
        }
        for (kind, definition) in [
            ("ENCODING", "SET client_encoding = 'UTF9';\n"),
            ("ENCODING", "SET client_encodinG = 'UTF8';\n"),
            ("STDSTRINGS", "SET standard_conforming_strings = 'oN';\n"),
            (
                "SEARCHPATH",
                "SELECT pg_catalog.set_config('search_path', '', falsE);\n",
            ),
        ] {
            let judged = check(kind, definition);
            assert!(
                matches!(judged, Err(FormatError::Damaged(_))),
                "{definition}"
            );
        }
        let unknown = check("TABLF", "");
        assert!(
            matches!(unknown, Err(FormatError::CannotTell(_))),
            "{unknown:?}"
        );
    }
}
