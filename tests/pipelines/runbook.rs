//! docs/runbook.md: its counts are right, its two directions say the same, and its commands are
//! accepted by scripts and tools.

use std::collections::BTreeMap;

use chaos_tests::cluster::repository;
use chaos_tests::run::Place;
use chaos_tests::runbook::{Page, Row};

/// Steps and criteria of the runbook.
const STEPS: usize = 58;
const CRITERIA: usize = 65;

#[test]
fn every_step_and_criterion_is_there_and_the_counts_are_told() {
    let page = Page::read();
    let count = |criterion: bool, covered: bool| {
        let of_kind = |row: &&Row| row.is_criterion() == criterion;
        let is_covered = |row: &&Row| !covered || !row.command.is_empty();
        page.rows.iter().filter(of_kind).filter(is_covered).count()
    };
    assert_eq!((count(false, false), count(true, false)), (STEPS, CRITERIA));
    let told = format!(
        "**{} of {STEPS} steps and {} of {CRITERIA} criteria are covered by a command**",
        count(false, true),
        count(true, true)
    );
    assert!(page.text.contains(&told), "the page should say {told:?}");
    let keys: std::collections::BTreeSet<&str> =
        page.rows.iter().map(|row| row.key.as_str()).collect();
    assert_eq!(keys.len(), page.rows.len(), "a key stands there twice");
}

#[test]
fn the_way_back_is_the_way_there() {
    let page = Page::read();
    let mut there: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in page.rows.iter().filter(|row| !row.command.is_empty()) {
        let keys = there.entry(row.command.clone()).or_default();
        keys.push(row.key.clone());
    }
    assert_eq!(page.back, there);
}

#[test]
fn every_command_is_accepted() {
    let place = Place::new();
    let scripts = repository().join("scripts");
    // Tools complain of this once they have accepted their arguments, before they do anything.
    let place = place.env("CHAOS_CONFIG", "no-such-configuration.toml");
    for file in ["before.ndjson", "loaded.ndjson", "stream.ndjson"] {
        place.file(file, "");
    }
    let page = Page::read();
    let commands = page.commands();
    assert!(commands.len() > 25, "only {} commands", commands.len());
    for command in commands {
        let ran = place.shell(&format!("PATH={}:$PATH; {command}", scripts.display()));
        let said = ran.stderr();
        assert!(
            said.contains("no-such-configuration.toml"),
            "{}",
            ran.show()
        );
        // What clap, or a script, says of arguments.
        let refused = ["error: ", "usage: ", "no such option"];
        assert!(
            !refused.iter().any(|words| said.contains(words)),
            "{}",
            ran.show()
        );
    }
}
