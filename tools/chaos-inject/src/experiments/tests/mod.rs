//! The registry: that it is all that knows the experiments, and that the example of `chaos.toml`
//! shows every key of them.

mod answers;
mod flood;
mod limits;
mod losses;
mod plans;
mod pods;
mod probe_pods;
mod runs;
mod storage_and_monitoring;

use std::path::{Path, PathBuf};

use chaos_common::cluster::ReadError;
use chaos_common::record::{Plan, Status};

use super::*;
use crate::context::Context;
use crate::testing::test_bed::TestBed;

const EXAMPLE: &str = "../../scripts/ecommerce.toml";

fn config(text: &str) -> Config {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chaos.toml");
    std::fs::write(&path, text).expect("it can be written");
    chaos_common::config::load(Some(&path))
        .expect("a configuration")
        .config
}

/// The registered experiment of this name, or why there is none.
fn experiment(
    name: &str,
    selection: &Selection,
    context: &Context,
) -> Result<Box<dyn Experiment>, String> {
    let entry = all().iter().find(|entry| entry.name == name);
    let made = entry
        .expect("it is registered")
        .experiment(selection, &context.config);
    made.map_err(|failure| failure.message)
}

/// What an experiment would do, which is only to be read: nothing is written.
async fn planned(bed: &TestBed, name: &str, selection: &Selection) -> Result<Plan, ReadError> {
    let context = bed.context();
    let experiment = experiment(name, selection, &context).expect("it is named");
    let plan = experiment.plan(&context).await;
    assert_eq!(bed.server.writes(), [""; 0], "planning {name} wrote");
    plan
}

/// The workload of this kind and name.
fn workload_named(name: &str) -> Selection {
    Selection {
        workloads: vec![name.to_owned()],
        ..Selection::default()
    }
}

/// The Deployment of this name.
fn of(deployment: &str) -> Selection {
    workload_named(&format!("deployment/{deployment}"))
}

/// What refuses a plan, of the checks whose id begins so.
fn refusals(plan: &Plan, id: &str) -> Vec<String> {
    let refuses = |check: &&chaos_common::record::Check| {
        let bad = matches!(check.status, Status::Fail | Status::Unknown);
        bad && check.id.starts_with(id)
    };
    let checks = plan.checks.iter().filter(refuses);
    checks
        .map(|check| format!("{}: {}", check.id, check.message))
        .collect()
}

/// Whether a plan needs a permission (`patch deployments`) for one object, or for all.
fn needs(plan: &Plan, permission: &str, name: Option<&str>) -> bool {
    plan.permissions.iter().any(|one| {
        format!("{} {}", one.verb, one.resource) == permission && one.name.as_deref() == name
    })
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

/// The registry with one line more.
fn with_flood() -> Vec<Entry> {
    [all(), &[Entry::of::<flood::Flood>()]].concat()
}

#[test]
fn a_new_experiment_is_its_file_its_line_and_its_table() {
    let written = config("[experiment.flood]\nduration = \"1s\"\n");
    check(&written).expect_err("without its line nobody knows it");
    let registry = with_flood();
    check_against(&registry, &written).expect("with it, its table is known");
    let entry = registry.last().expect("it was added");
    let experiment = entry.experiment(&Selection::default(), &written);
    assert_eq!(experiment.expect("it needs nothing else").name(), "flood");
    let wrong = config("[experiment.flood]\nduratoin = \"1s\"\n");
    let message = check_against(&registry, &wrong)
        .expect_err("no such key")
        .message;
    assert!(
        message.contains("chaos.toml:2:1: unknown field `duratoin`"),
        "{message}"
    );
}

/// The source files of a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let other = ["experiments", "tests", "testing"]
            .iter()
            .any(|one| name == *one);
        if path.is_dir() && !other {
            sources(&path, found);
        } else if path.extension().is_some_and(|rs| rs == "rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

/// The lines of a source file that are neither comments nor tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    text.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_outside_this_folder_knows_the_name_of_an_experiment() {
    let mut files = Vec::new();
    sources(Path::new("../../common/src"), &mut files);
    for tool in std::fs::read_dir("..").expect("the tools").flatten() {
        sources(&tool.path().join("src"), &mut files);
    }
    assert!(files.len() > 100, "the walk has lost its way");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file");
        let text = code(&text);
        for entry in all() {
            for name in [entry.name.to_owned(), table(entry.name)] {
                let quoted = [format!("\"{name}"), format!("experiment.{name}")];
                let known = quoted.iter().any(|form| text.contains(form));
                assert!(!known, "{} knows {name}", file.display());
            }
        }
    }
}
