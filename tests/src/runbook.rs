//! docs/runbook.md, read as the tables that it is.

use std::collections::BTreeMap;

use crate::cluster::repository;

/// A step or a criterion, and the command that covers it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Such as `B1.2` (a step) or `B1.b` (a criterion).
    pub key: String,
    /// The command; empty where there is none.
    pub command: String,
    /// Ids of the checks that answer.
    pub checks: Vec<String>,
}

impl Row {
    /// Whether it is a criterion, and no step.
    pub fn is_criterion(&self) -> bool {
        self.key.ends_with(|c: char| c.is_ascii_lowercase())
    }
}

/// The page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its text.
    pub text: String,
    /// Steps and criteria, in order.
    pub rows: Vec<Row>,
    /// The table from commands back to keys.
    pub back: BTreeMap<String, Vec<String>>,
}

impl Page {
    /// Reads it.
    pub fn read() -> Page {
        let path = repository().join("docs/runbook.md");
        let text = std::fs::read_to_string(path).expect("it is there");
        let (mut rows, mut back) = (Vec::new(), BTreeMap::new());
        for line in text.lines().filter(|line| line.starts_with("| ")) {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            match cells[..] {
                [command, keys] if command.starts_with('`') => {
                    let keys = keys.split(' ').map(str::to_owned).collect();
                    back.insert(code(command).concat(), keys);
                }
                [key, _, command] if is_key(key) => rows.push(row(key, command, "")),
                [key, _, command, checks] if is_key(key) => rows.push(row(key, command, checks)),
                _ => {}
            }
        }
        Page { text, rows, back }
    }

    /// Every command once, in the order of the page.
    pub fn commands(&self) -> Vec<&str> {
        let mut commands: Vec<&str> = Vec::new();
        for row in self.rows.iter().filter(|row| !row.command.is_empty()) {
            if !commands.contains(&row.command.as_str()) {
                commands.push(&row.command);
            }
        }
        commands
    }
}

fn row(key: &str, command: &str, checks: &str) -> Row {
    Row {
        key: key.to_owned(),
        command: code(command).concat(),
        checks: code(checks),
    }
}

/// A letter, a digit, a point, a digit or a letter.
fn is_key(cell: &str) -> bool {
    let bytes = cell.as_bytes();
    bytes.len() == 4
        && bytes[0].is_ascii_uppercase()
        && bytes[1].is_ascii_digit()
        && bytes[2] == b'.'
}

/// What stands between backquotes.
fn code(cell: &str) -> Vec<String> {
    let spans = cell.split('`').skip(1).step_by(2);
    spans.map(str::to_owned).collect()
}
