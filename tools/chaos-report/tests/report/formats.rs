//! The formats of a report: the same data in each, and text from outside as text in each.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chaos_common::record::{AlertSeen, AnswerWindow, Check, Outcome, Status};
use quick_xml::events::Event;
use serde_json::Value;

use crate::fixture::{self, Run};
use crate::{Bench, check, feed, last, read, stderr};

const DAY: &str = "2026-11-22";
const ALL: [&str; 2] = ["--format", "md,html,json,junit,summary"];
const ENDINGS: [&str; 5] = [".md", ".html", ".json", ".junit.xml", ".summary.txt"];

/// What markup, terminals and bidirectional text make of text, in one text.
pub(crate) const HOSTILE: &str = "a|b\n## Forged\n- **Name**: z `c` <script>alert(1)</script><img src=x \
    onerror=alert(2)>\" onmouseover='alert(3)' ]]>&amp;{{ status }}{% for %}[x](javascript:y)\
    \u{202e}turned\u{1b}[31m\u{0}end";

/// A run with something to draw in every picture.
pub(crate) fn drawn() -> Run {
    let mut run = Run::good(DAY);
    let window = |from_ms: i64, good: u64| AnswerWindow {
        from_ms,
        length_ms: 1000,
        requests: 10,
        good,
        missed: 0,
        p50_ms: (good > 0).then_some(3.5),
        max_ms: (good > 0).then_some(20.0),
    };
    let data = run.experiment();
    let goods = [10, 10, 4, 0, 10, 10];
    let windows = goods
        .iter()
        .zip(-2..)
        .map(|(good, second)| window(second * 1000, *good));
    data.availability[0].windows = windows.collect();
    data.alerts = vec![AlertSeen {
        name: "BackendDown".into(),
        expected: true,
        before: false,
        fired_ms: Some(2500.0),
        delivered_ms: Some(3000.0),
    }];
    data.recoveries.push(fixture::recovery("frontend", None));
    run
}

pub(crate) fn hostile(text: &str) -> Run {
    let mut run = drawn();
    let experiment = run.experiment();
    experiment.experiment = text.into();
    experiment.executor = text.into();
    experiment.namespace = text.into();
    experiment.issues = vec![text.into()];
    experiment.actions = vec![text.into()];
    experiment.recoveries[0].deleted.name = text.into();
    experiment.availability[0].service = text.into();
    experiment.availability[0].errors = vec![text.into()];
    experiment.alerts[0].name = text.into();
    experiment
        .checks
        .push(Check::fail("x", text, text).hint(text));
    let verification = run.verification();
    verification
        .checks
        .push(Check::new("y", text, Status::Warn, text));
    verification.state.workloads[0].workload.name = text.into();
    verification.state.nodes[0].name = text.into();
    let notification = run.notification.as_mut().expect("there");
    notification.subject = text.into();
    notification.channels[0].detail = text.into();
    run
}

pub(crate) fn made(run: &Run) -> Bench {
    let bench = Bench::new();
    let output = bench.run(&ALL, &run.stream());
    assert!(output.stdout.ends_with(b"}\n"), "{}", stderr(&output));
    bench
}

/// All texts and values of attributes of an XML document; it has to be well formed.
fn xml(text: &str) -> Vec<String> {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut found = Vec::new();
    loop {
        match reader.read_event().expect("well formed") {
            Event::Eof => return found,
            Event::Text(text) => found.push(text.decode().expect("UTF-8").into_owned()),
            Event::Start(tag) | Event::Empty(tag) => {
                for attribute in tag.attributes() {
                    let value = attribute.expect("an attribute").value;
                    found.push(String::from_utf8(value.into_owned()).expect("UTF-8"));
                }
            }
            _ => {}
        }
    }
}

#[test]
fn each_format_is_a_file_and_the_record_names_them_all() {
    let bench = Bench::new();
    let output = bench.run(&ALL, &drawn().stream());
    let record = last(&output);
    let files = record["data"]["files"].as_array().expect("files");
    assert_eq!(files.len(), 5);
    assert_eq!(files[0], record["data"]["location"]);
    for (file, ending) in files.iter().zip(ENDINGS) {
        let file = file.as_str().expect("a path");
        assert!(file.ends_with(ending), "{file}");
        assert!(std::path::Path::new(file).is_file(), "{file}");
    }
    let two = Bench::new();
    two.run(&[], &drawn().stream());
    assert_eq!(two.files("").len(), 3, "Markdown, HTML and the stream");
}

#[test]
fn an_unknown_format_is_a_usage_error() {
    let output = Bench::new().run(&["--format", "pdf"], &drawn().stream());
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("junit"), "{}", stderr(&output));
}

#[test]
fn the_same_stream_gives_the_same_bytes_in_every_format() {
    let (one, two) = (made(&drawn()), made(&drawn()));
    for ending in ENDINGS {
        assert_eq!(one.only(ending), two.only(ending), "{ending}");
    }
}

#[test]
fn all_formats_say_the_same() {
    let bench = made(&drawn());
    let data: Value = serde_json::from_str(&bench.only(".json")).expect("JSON");
    assert_eq!(data["status"], "pass");
    for answer in data["opening"].as_array().expect("answers") {
        let answer = answer["answer"].as_str().expect("a text");
        for ending in [".md", ".html", ".summary.txt"] {
            let text = bench.only(ending).replace("&#x2f;", "/");
            assert!(text.contains(answer), "{ending}: {answer}");
        }
    }
}

#[test]
fn the_html_needs_nothing_from_elsewhere_and_is_small() {
    let html = made(&drawn()).only(".html");
    assert!(html.len() < 200_000, "{} bytes", html.len());
    for forbidden in [
        "<script",
        "<link rel=\"stylesheet",
        "@import",
        "<iframe",
        "src=",
        "http://",
    ] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    for (n, _) in html.match_indices("url(") {
        assert!(html[n..].starts_with("url(#"), "{}", &html[n..n + 20]);
    }
    for picture in [
        "The fault and what it did",
        "How each pod came back",
        "How long answers took",
    ] {
        assert!(html.contains(picture), "{picture}");
    }
}

#[test]
fn text_from_outside_is_text_in_every_format() {
    let bench = made(&hostile(HOSTILE));
    let html = bench.only(".html");
    let md = bench.only(".md") + &bench.only(".summary.txt");
    for tag in [
        "<script",
        "<img",
        "onerror=alert(2)>\"",
        "\u{202e}",
        "\u{1b}",
        "\0",
    ] {
        assert!(!html.contains(tag), "{tag:?}");
        assert!(!md.contains(tag), "{tag:?}");
    }
    assert!(
        !md.lines().any(|line| line.starts_with("## Forged")),
        "{md}"
    );
    assert!(!md.contains("[x](javascript"), "{md}");
    // Templates do not run what they are filled with.
    assert!(html.contains("{{ status }}"), "{html}");
    let junit = xml(&bench.only(".junit.xml"));
    assert!(
        junit.iter().any(|text| text.contains("onerror")),
        "{junit:?}"
    );
    let data: Value = serde_json::from_str(&bench.only(".json")).expect("JSON");
    let title = data["title"].as_str().expect("a title");
    assert!(title.contains("⟨U+202E⟩turned [31m end"), "{title}");
}

#[test]
fn values_of_a_megabyte_do_not_make_a_report_large() {
    let bench = made(&hostile(&"<&|".repeat(1 << 18)));
    for ending in ENDINGS {
        let text = bench.only(ending);
        assert!(text.len() < 500_000, "{ending}: {} bytes", text.len());
    }
    assert!(bench.only(".html").contains('…'));
}

#[test]
fn junit_counts_what_failed_and_what_could_not_tell() {
    let mut run = drawn();
    let checks = &mut run.verification().checks;
    checks.push(Check::fail("data.table", "orders", "2 rows lost"));
    checks.push(Check::unknown("data.role", "db", "no right"));
    checks.push(Check::skipped("data.amcheck", "", "not there"));
    let junit = made(&run).only(".junit.xml");
    xml(&junit);
    assert!(
        junit.contains("<failure message=\"2 rows lost\">"),
        "{junit}"
    );
    let suite = "tests=\"6\" failures=\"1\" errors=\"1\" skipped=\"1\"";
    assert!(junit.contains(suite), "{junit}");
    // All checks may pass, and the run prove nothing all the same.
    let mut unverified = drawn();
    unverified.verification = None;
    let junit = made(&unverified).only(".junit.xml");
    assert!(junit.contains("<error message=\"unknown\">"), "{junit}");
}

#[test]
fn every_ending_of_a_run_is_told_in_every_format() {
    let endings: [(Outcome, &str); 4] = [
        (Outcome::Completed, "pass"),
        (Outcome::Refused, "refused"),
        (Outcome::Aborted, "aborted"),
        (Outcome::NotRestored, "NOT RESTORED"),
    ];
    for (outcome, word) in endings {
        let mut run = drawn();
        run.experiment().outcome = outcome;
        run.experiment().reason = Some("for a reason".into());
        let bench = made(&run);
        assert!(bench.only(".md").contains(&format!("\nStatus: {word}\n")));
        assert!(
            bench
                .only(".html")
                .contains(&format!("</span> {word}</span>"))
        );
        assert!(bench.only(".summary.txt").contains(&format!(": {word}\n")));
        let pass = !bench.only(".junit.xml").contains("<error") && word == "pass";
        assert_eq!(pass, word == "pass");
        let data: Value = serde_json::from_str(&bench.only(".json")).expect("JSON");
        assert_eq!(data["status"], word);
    }
}

#[test]
fn a_stream_that_ends_anywhere_is_never_a_pass_and_a_fault_that_may_be_on_is_told() {
    let mut run = drawn();
    run.events.truncate(1);
    let stream = run.stream();
    let ends = stream
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n');
    let ends: Vec<usize> = ends.map(|(n, _)| n + 1).collect();
    let injected = String::from_utf8_lossy(&stream)
        .find("\"injected\",")
        .expect("an event");
    for end in ends.iter().copied().filter(|end| *end < stream.len()) {
        for cut in [end, end - 9] {
            let bench = Bench::new();
            bench.run(&ALL, &stream[..cut]);
            let text = bench.only(".md");
            let status = text.lines().find(|line| line.starts_with("Status:"));
            assert_eq!(status, Some("Status: unknown"), "cut at {cut}");
            let begun = cut > injected + 200;
            let ended = text.contains("at its steady state again");
            if begun && !ended {
                assert!(
                    text.contains("may still be in place"),
                    "cut at {cut}: {text}"
                );
            }
            assert!(!read(&bench.files(".html")[0]).contains(
                "chip pass\"><span aria-hidden=\"true\">✓</span> pass</span> <span>Duration"
            ));
        }
    }
}

/// A desktop whose opener notes what it is to open.
fn desktop(bench: &Bench) -> PathBuf {
    let folder = bench.home.path().join("bin");
    std::fs::create_dir(&folder).expect("can be made");
    let opener = folder.join("xdg-open");
    let script = "#!/bin/sh\necho \"$1\" > \"$HOME/half\" && mv \"$HOME/half\" \"$HOME/opened\"\n";
    std::fs::write(&opener, script).expect("writable");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&opener, executable).expect("ours");
    folder
}

#[test]
fn open_makes_the_html_and_hands_it_to_the_desktop() {
    let bench = Bench::new();
    let path = format!("{}:/usr/bin:/bin", desktop(&bench).display());
    let mut command = bench.command(&["--format", "md", "--open"]);
    command.env("PATH", path);
    let output = feed(command, &drawn().stream());
    assert_eq!(check(&output, "report.opened"), "pass");
    let opened = bench.home.path().join("opened");
    let until = Instant::now() + Duration::from_secs(60);
    while !opened.exists() {
        assert!(Instant::now() < until, "it was not opened");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(
        read(&opened).trim_end(),
        bench.files(".html")[0].to_str().expect("UTF-8")
    );
}

#[test]
fn without_a_desktop_the_report_is_saved_all_the_same_and_that_is_told() {
    let bench = Bench::new();
    let mut command = bench.command(&["--open"]);
    command.env("PATH", bench.home.path());
    let output = feed(command, &drawn().stream());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(check(&output, "report.opened"), "warn");
    assert_eq!(bench.files(".html").len(), 1);
}

#[test]
fn at_a_terminal_one_screen_says_what_was_found_and_what_is_next() {
    let bench = Bench::new();
    let output = bench.run(&["-o", "text"], &drawn().stream());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.lines().count() <= 24, "{text}");
    for line in [
        "status        pass",
        "found         The experiment",
        "next          Run pod-failure",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert_eq!(text.matches("\nreport        ").count(), 2, "{text}");
}
