//! docs/runbook.md is true: every command in it does what it says, on a real cluster, and the checks
//! that it names are in what comes out.

use std::collections::BTreeMap;

use chaos_tests::cluster::repository;
use chaos_tests::run::{Place, Ran, in_time};
use chaos_tests::runbook::Page;

use crate::kubernetes::image;
use crate::pipeline::{Receivers, prepared};

/// Whether this machine, which others use as well, could not make the load that was asked for. The tool
/// says so; it says nothing of the page.
fn is_too_busy(ran: &Ran) -> bool {
    ran.stderr().contains("this machine can't make such a load")
}

/// Whether there was nothing to try: a shop that is new has no earlier revisions.
fn is_new(ran: &Ran) -> bool {
    ran.stderr().contains("has no earlier revision") && ran.exits_any() == Some(3)
}

/// A command of the page, as somebody would type it who has the scripts in his PATH.
fn typed(place: &Place, command: &str) -> Ran {
    let scripts = repository().join("scripts");
    place.shell(&format!("PATH={}:$PATH; {command}", scripts.display()))
}

/// What a command wrote: on standard output, or into the file that it names.
fn written(place: &Place, command: &str, ran: &Ran) -> String {
    let file = command.split_once(" >").map(|(_, file)| file.trim());
    let file = file.and_then(|file| std::fs::read_to_string(place.path().join(file)).ok());
    file.unwrap_or_else(|| ran.stdout())
}

#[test]
#[ignore = "needs the cluster: make test"]
fn every_command_of_the_runbook_does_what_it_says() {
    let (cluster, place) = prepared();
    let image = image(&cluster);
    cluster.config(&|text| {
        let text = text.replace(
            "port = 25 ",
            &format!("port = {} ", Receivers::mail_port(&cluster)),
        );
        // The load is the runbook's, for a shorter time; how quick this machine is does not matter.
        text.replace("duration = \"5m\" ", "duration = \"10s\" ")
            .replace(
                "# image = \"registry/chaos-verify:1\"",
                &format!("image = \"{image}\""),
            )
            .replace("rate = 20.0 ", "rate = 5.0 ")
            .replace("allowance_ms = 20.0 ", "allowance_ms = 2000.0 ")
            .replace("max_ratio = 1.5 ", "max_ratio = 50.0 ")
    });
    let _receivers = Receivers::start(&cluster);
    let page = Page::read();
    for line in &page.beforehand {
        let ran = typed(&place, line);
        assert!(
            is_too_busy(&ran) || ran.exits_any() == Some(0),
            "{}",
            ran.show()
        );
    }
    let mut answers: BTreeMap<&str, String> = BTreeMap::new();
    for command in page.commands() {
        let ran = in_time(|| {
            // Experiments begin with a system that is well.
            if command.starts_with("experiment.sh") {
                cluster.whole();
            }
            typed(&place, command)
        });
        println!("{command}\n{}", ran.stderr());
        // Without a baseline under load, there is nothing to compare with.
        let loaded = command.starts_with("performance-test.sh");
        let tried = command == "chaos-inject rollback --dry-run" && is_new(&ran);
        if (loaded && ran.exits_any() == Some(3)) || tried {
            continue;
        }
        let ran = ran.exits(0);
        answers.insert(command, written(&place, command, &ran));
    }
    for row in &page.rows {
        for check in &row.checks {
            let Some(answer) = answers.get(row.command.as_str()) else {
                continue;
            };
            let named = answer.contains(&format!("\"id\":\"{check}\""));
            assert!(
                named,
                "{}: no {check} in what {} wrote",
                row.key, row.command
            );
        }
    }
    cluster.whole();
}
