//! Reports on real runs: a stream of each experiment, as the tools wrote it on the sample shop of
//! the end-to-end tests while the machine was busy, and the report that people have read.

use crate::Bench;
use crate::experiment::golden;

const EXPERIMENTS: [&str; 7] = [
    "pod-failure",
    "network-partition",
    "resource-exhaustion",
    "storage-failure",
    "monitoring-failure",
    "scale-down",
    "dns-failure",
];

fn stream(experiment: &str) -> Vec<u8> {
    let path = format!("tests/report/real/{experiment}.ndjson");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn reports_on_real_runs_are_as_they_were_read() {
    for experiment in EXPERIMENTS {
        let bench = Bench::new();
        bench.run(&[], &stream(experiment));
        golden(&format!("real-{experiment}.md"), &bench.only(".md"));
        let html = bench.only(".html").len();
        assert!(html < 200_000, "{experiment}: {html} bytes");
    }
}

#[test]
fn what_could_not_be_sent_is_never_said_to_have_gone_unnoticed() {
    for experiment in EXPERIMENTS {
        let bench = Bench::new();
        bench.run(&["--format", "md"], &stream(experiment));
        let text = bench.only(".md");
        if text.contains("requests could not be sent") {
            assert!(
                !text.contains("Callers noticed nothing"),
                "{experiment}: {text}"
            );
        }
    }
}
