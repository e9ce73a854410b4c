//! The registry: that it is all that knows the experiments, and that the example of `chaos.toml`
//! shows every key of them.

use std::path::Path;

use super::*;

const EXAMPLE: &str = "../../scripts/ecommerce.toml";

fn config(text: &str) -> Config {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chaos.toml");
    std::fs::write(&path, text).expect("it can be written");
    chaos_common::config::load(Some(&path))
        .expect("a configuration")
        .config
}

#[test]
fn names_and_tables_are_unique() {
    let mut names: Vec<&str> = all().iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all().len());
}

#[test]
fn a_table_of_no_experiment_is_an_error_with_its_line() {
    let wrong = config("[experiment]\nsettle = \"1s\"\n[experiment.pod_failur]\ncount = 1\n");
    let failure = check(&wrong).expect_err("there is no such experiment");
    let message = failure.message;
    assert!(message.contains("chaos.toml:3:13: "), "{message}");
    assert!(
        message.contains("unknown experiment `pod_failur`"),
        "{message}"
    );
    assert!(message.contains("`pod_failure`, "), "{message}");
}

#[test]
fn a_wrong_key_of_any_experiment_is_an_error_with_its_line() {
    for entry in all() {
        let wrong = config(&format!(
            "[experiment.{}]\nno_such = 1\n",
            table(entry.name)
        ));
        let message = check(&wrong).expect_err("no such key").message;
        assert!(
            message.contains("chaos.toml:2:1: unknown field `no_such`"),
            "{message}"
        );
    }
}

#[test]
fn every_setting_is_documented_and_shown_in_the_example() {
    let example = std::fs::read_to_string(EXAMPLE).expect("the example");
    for entry in all() {
        let header = format!("\n[experiment.{}]", table(entry.name));
        let (_, shown) = example.split_once(&header).expect("its table is shown");
        let shown = shown.split("\n[").next().unwrap_or_default();
        let schema = entry.schema();
        let properties = schema.get("properties").and_then(|all| all.as_object());
        for (key, property) in properties.into_iter().flatten() {
            assert!(
                property.get("description").is_some(),
                "{key} has no description"
            );
            let is_shown = shown.contains(&format!("\n{key} ="));
            assert!(is_shown, "{EXAMPLE} does not show {key} of {}", entry.name);
        }
    }
}

#[test]
fn the_example_has_the_tables_of_all_experiments_and_no_other() {
    let example = chaos_common::config::load(Some(Path::new(EXAMPLE))).expect("the example");
    check(&example.config).expect("they are known");
    let tables = example.config.experiment.tables;
    assert_eq!(tables.names().count(), all().len());
}
