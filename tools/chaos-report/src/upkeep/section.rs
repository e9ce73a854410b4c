//! What the archive tells a team's documents.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chaos_common::output::duration;
use chaos_common::record::{Note, Record};

use crate::index::Index;
use crate::render::escape;
use crate::review::{Recoveries, Reviewed, Scope, issues};

/// The part of a document: experiments with their last run and recovery, lessons, and issues that
/// are open. It depends on the archive alone, and not on the day.
pub(crate) fn section(index: &Index) -> String {
    let scope = Scope::all(index);
    let mut out = String::from("## What Experiments Showed\n");
    experiments(&mut out, &scope);
    let lessons = lessons(index);
    list(&mut out, "Lessons", &lessons);
    let open = issues(&scope).open;
    let open: Vec<String> = open
        .iter()
        .map(|it| {
            format!(
                "{}: {} fails since {}",
                it.experiment,
                it.check,
                it.since.day()
            )
        })
        .collect();
    list(&mut out, "Open Issues", &open);
    out
}

fn experiments(out: &mut String, scope: &Scope) {
    let mut of: BTreeMap<(&str, String), Vec<&Reviewed>> = BTreeMap::new();
    for reviewed in &scope.runs {
        let key = (reviewed.name(), reviewed.run.facts.target());
        of.entry(key).or_default().push(reviewed);
    }
    if of.is_empty() {
        out.push_str("\nNo experiment is in the archive.\n");
        return;
    }
    out.push_str("\n| Experiment | Target | Last run | Status | Recovery (median) | Runs |\n");
    out.push_str("| --- | --- | --- | --- | --- | --- |\n");
    for ((name, target), runs) in of {
        let Some(last) = runs.last() else { continue };
        let median = Recoveries::of(runs.iter().copied()).median();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            escape(name),
            escape(&target),
            last.day(),
            last.run.facts.conclusion.word(),
            median.map_or_else(|| "not measured".to_owned(), duration),
            runs.len()
        );
    }
}

/// What people learned, in order of time.
fn lessons(index: &Index) -> Vec<String> {
    let mut notes: Vec<&Record<Note>> = index
        .entries
        .iter()
        .flat_map(|entry| &entry.stream.notes)
        .collect();
    notes.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
    notes.dedup_by(|a, b| a.id == b.id);
    let said = |note: &&Record<Note>| -> Vec<String> {
        let day = note.time.0.strftime("%Y-%m-%d").to_string();
        let lessons = note.data.lessons.iter();
        lessons.map(|lesson| format!("{lesson} ({day})")).collect()
    };
    notes.iter().flat_map(said).collect()
}

fn list(out: &mut String, heading: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = write!(out, "\n### {heading}\n\n");
    for item in items {
        let _ = writeln!(out, "- {}", escape(item));
    }
}
