//! `experiments`: which there are, for people, and for scripts that go through all of them.

use std::io::Write as _;

use chaos_common::exit::Exit;
use chaos_common::stream::Format;
use serde_json::json;

use crate::experiments::{Entry, all};

/// Lists them: a line of text each, or a line of JSON with the schema of its settings.
pub fn list(format: Option<Format>) -> Exit {
    let text = Format::or_default(format) == Format::Text;
    let line = |entry: &Entry| {
        if text {
            format!("{:20}  {}\n", entry.name, entry.about)
        } else {
            let (name, about, settings) = (entry.name, entry.about, entry.schema());
            json!({ "name": name, "about": about, "settings": settings }).to_string() + "\n"
        }
    };
    let lines: String = all().iter().map(line).collect();
    // A reader that closed early has what it wanted.
    let _ = std::io::stdout().write_all(lines.as_bytes());
    Exit::Pass
}
