//! `chaos-health explain`: what a check asks, when it fails, and what to do then.

use std::fmt::Write as _;
use std::io::Write as _;

use chaos_common::exit::{Exit, Failure};
use chaos_health::checks::{CATALOGUE, Explanation};

/// Prints the explanation of a check, or the list of all.
pub(crate) fn explain(check: Option<&str>) -> Result<Exit, Failure> {
    let text = match check {
        None => list(),
        Some(id) => match Explanation::of(id) {
            Some(explanation) => one(explanation),
            None => {
                return Err(Failure::usage(format!("there is no check {id:?}"))
                    .hint("chaos-health explain lists them"));
            }
        },
    };
    // A reader that closed early is normal.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(Exit::Pass)
}

fn list() -> String {
    let width = CATALOGUE
        .iter()
        .map(|check| check.id.len())
        .max()
        .unwrap_or(0);
    CATALOGUE.iter().fold(String::new(), |mut text, check| {
        let _ = writeln!(text, "{:width$}  {}", check.id, check.asks);
        text
    })
}

fn one(check: &Explanation) -> String {
    let Explanation {
        id,
        asks,
        judges,
        reads,
        remedy,
    } = check;
    format!("{id}\n  {asks}\n\n  {judges}\n\n  reads     {reads}\n  remedy    {remedy}\n  leave out --skip {id}, or health.skip in chaos.toml\n")
        .lines()
        .filter(|line| check.may_be_skipped() || !line.trim_start().starts_with("leave out"))
        .fold(String::new(), |text, line| text + line + "\n")
}
