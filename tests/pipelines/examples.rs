//! The help of every command begins with three examples, and each of them works: it is run, in a
//! folder with a configuration, backups, a stream and an archive, against a cluster that does not
//! answer.

use std::path::Path;
use std::sync::Mutex;

use chaos_tests::cluster::repository;
use chaos_tests::run::Place;

/// So many examples stand in each help.
const EXAMPLES: usize = 3;

/// So wide may they be, in columns: a terminal has 80.
const WIDTH: usize = 78;

/// After so many seconds an example that is still at work counts as accepted.
const AT_WORK_S: u64 = 15;

/// The status of a command that was killed for it.
const STILL_AT_WORK: i32 = 137;

/// A command of a tool, such as `chaos-health init`, and the examples in its help.
pub(crate) struct Command {
    pub(crate) name: String,
    pub(crate) examples: Vec<String>,
}

/// Every command, by what the help of the one above says.
pub(crate) fn commands(place: &Place) -> Vec<Command> {
    let mut open: Vec<String> = super::TOOLS.map(str::to_owned).to_vec();
    let mut commands = Vec::new();
    while let Some(name) = open.pop() {
        let help = place.shell(&format!("{name} --help")).exits(0).stdout();
        let below = |heading: &'static str| {
            let lines = help.lines().skip_while(move |line| *line != heading);
            lines.skip(1).take_while(|line| !line.is_empty())
        };
        let first_words = below("Commands:").filter_map(|line| {
            let word = line.strip_prefix("  ")?.split(' ').next()?;
            (!word.is_empty() && word != "help").then_some(word)
        });
        open.extend(first_words.map(|word| format!("{name} {word}")));
        assert!(help.starts_with("Examples:\n"), "{name}:\n{help}");
        let examples = below("Examples:").map(|line| line.trim().to_owned());
        commands.push(Command {
            examples: examples.collect(),
            name,
        });
    }
    commands
}

#[test]
fn every_help_begins_with_three_examples_of_the_command() {
    let place = Place::new();
    let commands = commands(&place);
    for Command { name, examples } in &commands {
        assert_eq!(examples.len(), EXAMPLES, "{name}: {examples:?}");
        for example in examples {
            assert!(example.contains(name), "no example of {name}: {example}");
            assert!(example.len() + 2 <= WIDTH, "too long: {example}");
        }
    }
    // What stands in the files is of a command that there is.
    for tool in super::TOOLS {
        let text = repository().join(format!("tools/{tool}/examples.txt"));
        let text = std::fs::read_to_string(text).expect("it is there");
        for paragraph in text.split("\n\n") {
            let name = paragraph.lines().next().unwrap_or_default();
            let known = commands.iter().any(|command| command.name == name);
            assert!(known, "examples.txt of {tool}: there is no {name}");
        }
    }
}

#[test]
fn the_examples_in_the_help_texts_work() {
    let place = Place::new();
    let fixture = fixture();
    let commands = commands(&place);
    let examples: Vec<&String> = commands.iter().flat_map(|c| &c.examples).collect();
    assert!(examples.len() > 150, "only {} examples", examples.len());
    let open = Mutex::new(examples.iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let next = open.lock().expect("no test panics over it").next();
                    let Some(example) = next else { break };
                    if let Some(why) = refused(fixture.path(), example) {
                        wrong.lock().expect("no test panics over it").push(why);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no test panics over it");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Why an example does not work, if it does not: a tool in it ends with the status of a usage
/// error, or panics.
fn refused(fixture: &Path, example: &str) -> Option<String> {
    let place = with_environment(Place::new());
    // That one refuses to write over a configuration.
    let gone = if example.contains("chaos-health init") {
        "rm chaos.toml"
    } else {
        ":"
    };
    let script = format!(
        "cp -a '{}/.' . && {gone}\ncat >example.sh <<'END'\n{example}\n\
         printf '%s\\n' \"${{PIPESTATUS[@]}}\" >statuses\nEND\n\
         timeout --signal=KILL {AT_WORK_S} bash example.sh </dev/null",
        fixture.display()
    );
    let ran = place.shell(&script);
    let status = ran.exits_any();
    let statuses = std::fs::read_to_string(place.path().join("statuses")).unwrap_or_default();
    // What comes after a tool that the cluster did not answer may have nothing to tell of.
    let usage = statuses.lines().find(|status| *status != "0") == Some("2");
    let ended = !statuses.is_empty() || status == Some(STILL_AT_WORK);
    let said = ran.stderr();
    let of_arguments = said.lines().any(|line| line.starts_with("error: "));
    let refused = usage || !ended || said.contains("panicked") || of_arguments;
    refused.then(|| format!("{example}\nstatuses: {statuses}{}", ran.show()))
}

/// Nobody listens anywhere.
fn with_environment(place: Place) -> Place {
    let kubeconfig = place.path().join("kubeconfig");
    place
        .env("KUBECONFIG", kubeconfig)
        .env("SLACK_WEBHOOK_URL", "http://127.0.0.1:9/")
        .env("STATUS_PAGE_API_URL", "http://127.0.0.1:9/")
}

/// A place with all that the examples name.
fn fixture() -> Place {
    let place = with_environment(Place::new());
    kubeconfig(&place);
    let config = std::fs::read_to_string(repository().join("scripts/ecommerce.toml"));
    let config = config
        .expect("the example is there")
        .replace("\"/backup/", "\"backup/")
        .replace("\"/tmp/experiment-reports\"", "\"reports\"")
        .replace("deadline = \"30s\"  ", "deadline = \"1s\"  ")
        .replace("port = 25 ", "port = 9 ");
    place.file("chaos.toml", &config);
    place.file("chaos-runbook.md", "# Runbook\n");
    let corpus = repository().join("tests/fuzz/corpus");
    let real = repository().join("tools/chaos-report/tests/report/real");
    let copies = format!(
        "mkdir -p backup/database backups\ncp {corpus}/dump/gzip.dump shop.dump\n\
         cp shop.dump backups/\ncp shop.dump backup/database/latest.dump\n\
         cp {real}/pod-failure.ndjson stream.ndjson\n\
         chaos-report <stream.ndjson >/dev/null\n\
         chaos-report <{real}/scale-down.ndjson >/dev/null\n\
         chaos-report export last --to run.tar.gz\nchaos-report export --all --to archive.tar.gz",
        corpus = corpus.display(),
        real = real.display(),
    );
    place.shell(&copies);
    assert!(place.path().join("archive.tar.gz").exists(), "the archive");
    let step = r#"{"id":"01a227ca-0000-7000-8000-00000b9b7a4c","text":"add retries"}"#;
    let note = format!(
        r#"{{"schema":"chaos.note/1","id":"1","run":"n","time":"2026-11-29T15:00:00.000Z","tool":"t 1","verdict":"pass","summary":"s","data":{{"author":"ada","next_steps":[{step}]}}}}"#
    );
    place.file("reports/20261129T150000Z-note-1.ndjson", &(note + "\n"));
    journal(&place);
    place
}

fn kubeconfig(place: &Place) {
    let context = |name: &str| {
        format!("{{name: {name}, context: {{cluster: dead, user: dead, namespace: shop}}}}")
    };
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: dead,
         contexts: [{}, {}],
         clusters: [{{name: dead, cluster: {{server: 'https://127.0.0.1:1'}}}}],
         users: [{{name: dead, user: {{token: hunter2}}}}]}}",
        context("dead"),
        context("production"),
    );
    place.file("kubeconfig", &text);
}

/// The journal of a run that was killed, with the plan of the real one.
fn journal(place: &Place) {
    let stream = std::fs::read_to_string(place.path().join("stream.ndjson")).expect("it is there");
    let records = stream.lines().map(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}"))
    });
    let mut plans = records.filter(|record| record["schema"] == "chaos.plan/1");
    let plan = plans.next().expect("a plan");
    let time = "2026-11-29T15:00:00.000Z";
    let intent = serde_json::json!({
        "run": plan["run"], "experiment": "pod-failure", "executor": "ada", "since": time,
        "leases": [], "changes": [], "undo_limit_ms": 1000,
    });
    let line = serde_json::json!({
        "time": time, "previous": "", "what": { "intent": intent, "plan": plan["data"] },
    });
    let run = plan["run"].as_str().expect("a text");
    let file = format!(".local/state/chaos/journal/{run}.ndjson");
    place.file(&file, &format!("{line}\n"));
}
