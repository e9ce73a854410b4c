//! Scripts that PostgreSQL 15 and 17 made, whole and damaged; and pieces of SQL.

use super::lexer::{Lexer, Token};
use crate::formats::error::FormatError;
use crate::formats::inspection::{Expectations, Inspection};

const PLAIN: &[u8] = include_bytes!("../../../../tests/fixtures/pgdump/plain.sql");
const ODD: &[u8] = include_bytes!("../../../../tests/fixtures/pgdump/odd.sql");

fn check(script: &[u8]) -> Result<Inspection, FormatError> {
    super::super::examine(script, None, &Expectations::default(), "x")
}

fn damage(script: &[u8]) -> String {
    match check(script) {
        Err(FormatError::Damaged(why)) => why,
        other => panic!("not damaged, but {other:?}"),
    }
}

/// The tokens of a piece of SQL, which must not depend on where it is cut.
fn tokens(sql: &str) -> (Vec<Token>, Option<&'static str>) {
    let of = |size: usize| {
        let mut lexer = Lexer::new();
        let mut tokens = Vec::new();
        for mut piece in sql.as_bytes().chunks(size) {
            while !piece.is_empty() {
                let (used, token) = lexer.take(piece);
                tokens.extend(token);
                piece = &piece[used..];
            }
        }
        (tokens, lexer.in_the_middle())
    };
    let whole = of(sql.len());
    for size in 1..sql.len() {
        assert_eq!(of(size), whole, "in pieces of {size}");
    }
    whole
}

fn statements(sql: &str) -> usize {
    let (tokens, rest) = tokens(sql);
    assert_eq!(rest, None, "{sql}");
    assert!(
        tokens.iter().all(|token| !matches!(token, Token::Wrong(_))),
        "{tokens:?}"
    );
    tokens
        .iter()
        .filter(|token| matches!(token, Token::Statement(_)))
        .count()
}

#[test]
fn statements_end_outside_of_quotes_and_brackets() {
    assert_eq!(statements("SELECT 1;\nSELECT 2;\n"), 2);
    assert_eq!(statements("SELECT 'a;b', 'it''s;', \"a;\"\"b\";\n"), 1);
    assert_eq!(statements("SELECT E'a\\';b', E'\\\\', ';' ;\n"), 1);
    assert_eq!(
        statements("SELECT 'a\\', ';';\n"),
        1,
        "without E a backslash is a letter"
    );
    assert_eq!(
        statements("SELECT $$a;'$$, $b$ $$; $b;$b$;\nSELECT $1;\n"),
        2
    );
    assert_eq!(
        statements("CREATE RULE r DO (INSERT INTO a; INSERT INTO b);\n"),
        1
    );
    assert_eq!(statements("SELECT 1 /* ; ' /* \" */ ; */ ;\n"), 1);
    assert_eq!(statements("SELECT 1 -- ;'\n;\n"), 1);
    assert_eq!(statements("SELECT 5 - -3, 4 / 2;\n"), 1);
    assert_eq!(
        statements("SELECT a$b$c, 1;\n"),
        1,
        "a dollar in a name opens nothing"
    );
}

#[test]
fn what_is_open_at_the_end_is_named() {
    for (sql, place) in [
        ("SELECT 1", "a statement"),
        ("SELECT (1;", "a statement"),
        ("SELECT 'a;", "a text in quotes"),
        ("SELECT $a$ $$ ;", "a text in quotes"),
        ("SELECT \"a;", "a name in quotes"),
        ("-- a", "a comment"),
        ("\\connect a", "a command of psql"),
    ] {
        assert_eq!(tokens(sql).1, Some(place), "{sql}");
    }
}

#[test]
fn whole_scripts_pass_and_their_rows_are_counted() {
    let found = check(PLAIN).expect("whole");
    assert!(
        found.message.contains("100 rows in 1 table"),
        "{}",
        found.message
    );
    let found = check(ODD).expect("whole");
    assert!(found.message.contains("in 5 tables"), "{}", found.message);
}

#[test]
fn every_cut_is_found() {
    for (name, script) in [("plain", PLAIN), ("odd", ODD)] {
        for length in (0..script.len()).filter(|at| at % 61 == 0 || script.len() - at < 150) {
            assert!(
                check(&script[..length]).is_err(),
                "{name} cut to {length} of {}",
                script.len()
            );
        }
    }
    let why = damage(&PLAIN[..PLAIN.len() - 100]);
    assert!(why.contains("is cut"), "{why}");
}

#[test]
fn whatever_follows_the_end_and_zeros_are_found() {
    for tail in [&b"x"[..], b"\n", b"SELECT 1;\n", b"--\n", &[0; 10], PLAIN] {
        assert!(
            check(&[PLAIN, tail].concat()).is_err(),
            "{:?}",
            String::from_utf8_lossy(&tail[..tail.len().min(20)])
        );
    }
    for at in (0..PLAIN.len() - 16).step_by(97) {
        let mut zeroed = PLAIN.to_vec();
        zeroed[at..at + 16].fill(0);
        assert!(check(&zeroed).is_err(), "zeros at {at}");
    }
}

#[test]
fn a_row_that_lost_a_column_is_found() {
    let text = String::from_utf8(PLAIN.to_vec()).expect("UTF-8");
    let row = text.find("user42@").expect("a row");
    let tab = row + text[row..].find('\t').expect("a column");
    let fewer = [&text[..tab], &text[tab + 1..]].concat();
    assert!(
        damage(fewer.as_bytes()).contains("row 42 has 2 columns, and the table 3"),
        "{}",
        damage(fewer.as_bytes())
    );
}
