//! `search`: the runs in the archive that tell of something.

use std::io::{BufRead as _, BufReader};

use chaos_common::exit::{Exit, Failure};
use chaos_common::record::Status;
use chaos_common::stream::Format;

use super::archived::{self, Filter};
use crate::index::{Depth, Entry, Index};
use crate::store::Store;

/// What to look for.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Words that must all occur in what is known of a run, in any case: its name, targets, reason,
    /// issues, checks that did not pass, notes
    #[arg(required = true, value_name = "WORD")]
    words: Vec<String>,
    /// Look through every line of the streams as well, which takes longer
    #[arg(long)]
    streams: bool,
    #[command(flatten)]
    filter: Filter,
}

/// The most places of one run that are shown.
const MOST_PLACES: usize = 5;

/// Lists the runs that were found, each with the places.
///
/// # Errors
/// The archive can't be listed.
pub(crate) fn search(
    store: &mut dyn Store,
    args: &Args,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    let index = archived::open(store, Depth::Details)?;
    let words: Vec<String> = args.words.iter().map(|word| word.to_lowercase()).collect();
    let mut found = Vec::new();
    for entry in args.filter.of(&index.entries) {
        let mut texts = texts(entry, &index);
        if args.streams {
            texts.extend(lines(store, entry, &words));
        }
        if let Some(places) = places(&texts, &words) {
            found.push((entry, places));
        }
    }
    let runs: Vec<&Entry> = found.iter().map(|(entry, _)| *entry).collect();
    archived::print(&runs, format, |number| found[number].1.clone());
    let exit = archived::exit(&index);
    Ok(if runs.is_empty() {
        exit.worst(Exit::Fail)
    } else {
        exit
    })
}

/// What is known of a run, each part as a text of its own.
fn texts(entry: &Entry, index: &Index) -> Vec<String> {
    let mut texts = vec![entry.stem().to_owned(), entry.stream.run.clone()];
    if let Some(run) = &entry.stream.experiment {
        let facts = &run.facts;
        texts.push(format!(
            "{} {} in {} of {}, {}",
            facts.name,
            facts.target(),
            facts.namespace,
            facts.cluster.as_deref().unwrap_or("an unknown cluster"),
            facts.conclusion.word()
        ));
        texts.push(format!("executor {}", facts.executor));
        texts.extend(facts.reason.iter().map(|why| format!("reason: {why}")));
        texts.extend(run.issues.iter().map(|issue| format!("issue: {issue}")));
        for status in [Status::Fail, Status::Unknown, Status::Warn] {
            let checks = run.checks.with(status).chain(run.health.with(status));
            texts.extend(checks.map(|check| format!("{}: {check}", status.word())));
        }
        let alerts = run.alerts.iter();
        texts.extend(alerts.map(|alert| format!("alert {}", alert.name)));
    }
    texts.extend(archived::notes_on(&index.entries, &entry.stream.run));
    texts
}

/// The lines of a stream that hold one of the words. One that can't be read holds none: the list
/// of those is told apart.
fn lines(store: &mut dyn Store, entry: &Entry, words: &[String]) -> Vec<String> {
    let Ok(input) = store.read(entry) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut numbered = BufReader::new(input).split(b'\n').enumerate();
    while let Some((number, Ok(line))) = numbered.next() {
        let text = String::from_utf8_lossy(&line);
        let lower = text.to_lowercase();
        if let Some(at) = words.iter().find_map(|word| lower.find(word)) {
            let around = around(&lower, at);
            found.push(format!("line {}: …{around}…", number + 1));
        }
    }
    found
}

/// Some text on both sides of a place.
fn around(text: &str, at: usize) -> String {
    const SIDE: usize = 60;
    let before: Vec<char> = text[..at].chars().rev().take(SIDE).collect();
    let behind = text[at..].chars().take(SIDE);
    before.into_iter().rev().chain(behind).collect()
}

/// The texts with a word in them, if all words are somewhere.
fn places(texts: &[String], words: &[String]) -> Option<Vec<String>> {
    let lower: Vec<String> = texts.iter().map(|text| text.to_lowercase()).collect();
    let all = words
        .iter()
        .all(|word| lower.iter().any(|text| text.contains(word)));
    if !all {
        return None;
    }
    let holds = |text: &str| words.iter().any(|word| text.contains(word));
    let places = texts.iter().zip(&lower).filter(|(_, lower)| holds(lower));
    Some(
        places
            .map(|(text, _)| text.clone())
            .take(MOST_PLACES)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn all_words_must_occur_and_only_their_places_are_shown() {
        let texts = ["issue: 2 Rows lost", "executor ana", "alert Down"].map(str::to_owned);
        let found = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            places(&texts, &words)
        };
        assert_eq!(found(&["rows"]), Some(vec![texts[0].clone()]));
        assert_eq!(
            found(&["rows", "ana"]),
            Some(vec![texts[0].clone(), texts[1].clone()])
        );
        assert_eq!(found(&["rows", "bob"]), None);
    }
}
