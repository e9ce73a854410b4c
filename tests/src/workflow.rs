//! Workflow files of CI systems, carried out step by step as those would, without a terminal.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::repository;
use crate::run::{Place, Ran};

/// A job: its environment and its steps.
#[derive(Debug)]
pub struct Job {
    environment: BTreeMap<String, String>,
    steps: Vec<Step>,
}

/// What is run, and whether also after a step that failed.
#[derive(Debug)]
struct Step {
    environment: BTreeMap<String, String>,
    text: String,
    always: bool,
}

fn read(name: &str) -> Value {
    let path = repository().join("docs/examples").join(name);
    let text = std::fs::read_to_string(path).expect("it is there");
    serde_saphyr::from_str(&text).expect("YAML")
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    pairs
        .map(|(name, value)| (name.clone(), text(value)))
        .collect()
}

/// The job of docs/examples/github-actions.yml.
pub fn github() -> Job {
    let file = read("github-actions.yml");
    let job = &file["jobs"]["experiment"];
    assert_eq!(file["defaults"]["run"]["shell"], "bash");
    let steps = job["steps"].as_array().expect("steps").iter();
    let run = |step: &Value| {
        Some(Step {
            environment: texts(&step["env"]),
            text: step["run"].as_str()?.to_owned(),
            always: step["if"] == "always()",
        })
    };
    Job {
        environment: texts(&job["env"]),
        steps: steps.filter_map(run).collect(),
    }
}

/// The job of docs/examples/gitlab-ci.yml, and the exit statuses that do not fail it.
pub fn gitlab() -> (Job, Vec<i64>) {
    let file = read("gitlab-ci.yml");
    let job = &file["chaos"];
    let lines = |key: &str, always: bool| {
        let lines = job[key].as_array().expect("lines").iter();
        let text = lines.map(|line| line.as_str().expect("a text").to_owned());
        Step {
            environment: BTreeMap::new(),
            text: text.collect::<Vec<_>>().join("\n"),
            always,
        }
    };
    let allowed = job["allow_failure"]["exit_codes"]
        .as_array()
        .expect("statuses");
    let job = Job {
        environment: texts(&job["variables"]),
        steps: vec![lines("script", false), lines("after_script", true)],
    };
    (job, allowed.iter().filter_map(Value::as_i64).collect())
}

impl Job {
    /// Runs its steps in a place, with what the CI system sets. What a step that failed leaves to the
    /// others is run; each that ran is given back.
    pub fn run(&self, place: &Place, kubeconfig: &str) -> Vec<Ran> {
        let folder = place.path().display().to_string();
        let file = |name: &str| format!("{folder}/{name}");
        let mut environment = self.environment.clone();
        let set = [
            ("GITHUB_ENV", file("github-env")),
            ("GITHUB_STEP_SUMMARY", file("summary.md")),
            ("RUNNER_TEMP", folder.clone()),
        ];
        environment.extend(set.map(|(name, value)| (name.to_owned(), value)));
        let meant = |text: &str| {
            text.replace("${{ github.workspace }}", &folder)
                .replace("$CI_PROJECT_DIR", &folder)
                .replace("${{ secrets.KUBECONFIG }}", kubeconfig)
        };
        let (mut ran, mut failed) = (Vec::new(), false);
        for step in &self.steps {
            if failed && !step.always {
                continue;
            }
            // What earlier steps wrote there holds for this one.
            let written = std::fs::read_to_string(file("github-env")).unwrap_or_default();
            let written = written.lines().filter_map(|line| line.split_once('='));
            environment.extend(written.map(|(name, value)| (name.to_owned(), value.to_owned())));
            let all = environment.iter().chain(&step.environment);
            let exports = all.map(|(name, value)| {
                format!("export {name}='{}'\n", meant(value).replace('\'', "'\\''"))
            });
            let text = exports.collect::<String>() + &step.text;
            assert!(
                !step.text.contains("${{"),
                "data in the text of a step: {}",
                step.text
            );
            place.file("step.sh", &text);
            let scripts = repository().join("scripts");
            let line = format!(
                "PATH={}:$PATH setsid --wait bash --noprofile --norc -eo pipefail step.sh </dev/null",
                scripts.display()
            );
            let one = place.shell(&line);
            failed |= one.exits_any() != Some(0);
            ran.push(one);
        }
        ran
    }
}
