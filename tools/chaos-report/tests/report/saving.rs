//! How reports are kept: whole or not at all, and never at the cost of the stream.

use std::process::Stdio;

use crate::fixture::Run;
use crate::{Bench, check, feed, last, stderr};

fn good() -> Vec<u8> {
    Run::good("2026-11-22").stream()
}

#[test]
fn the_stream_is_passed_on_and_kept_byte_for_byte() {
    let mut stream = good();
    // A foreign record with odd spacing, and a last line without an end.
    stream.splice(
        0..0,
        b"{ \"schema\" : \"acme.thing/7\",\t\"x\":1.50 }\n"
            .iter()
            .copied(),
    );
    stream.pop();
    let bench = Bench::new();
    let output = bench.run(&[], &stream);
    assert!(
        output.stdout.starts_with(&stream),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert_eq!(
        std::fs::read(&bench.files(".ndjson")[0]).expect("readable"),
        stream
    );
}

#[test]
fn a_second_report_of_a_run_does_not_replace_the_first() {
    let bench = Bench::new();
    bench.run(&[], &good());
    bench.run(&[], &good());
    assert_eq!(bench.files(".md").len(), 2);
    assert_eq!(bench.files(".ndjson").len(), 2);
    assert_eq!(
        bench.files("").len(),
        6,
        "nothing else is left: {:?}",
        bench.files("")
    );
}

#[test]
fn without_a_stream_it_is_a_usage_error() {
    let bench = Bench::new();
    let output = bench
        .command(&[])
        .stdin(Stdio::null())
        .output()
        .expect("the tool ends");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no stream on standard input"));
    assert!(bench.files("").is_empty());
}

#[test]
fn an_archive_that_is_no_folder_costs_the_report_and_not_the_stream() {
    let bench = Bench::new();
    std::fs::write(bench.archive(), "a file").expect("writable");
    let output = bench.run(&[], &good());
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(check(&output, "report.saved"), "unknown");
    assert_eq!(last(&output)["data"]["location"], "not saved");
    assert!(output.stdout.starts_with(&good()));
    assert!(
        stderr(&output).contains("cannot save the report"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_full_disk_leaves_no_half_report_and_passes_the_stream_on() {
    let bench = Bench::new();
    std::fs::create_dir(bench.archive()).expect("can be made");
    let mut stream = b"{\"schema\":\"acme.thing/7\",\"x\":\"".to_vec();
    stream.extend(std::iter::repeat_n(b'x', 200_000));
    stream.extend(b"\"}\n");
    stream.extend(good());
    let archive = bench.archive();
    let archive = archive.to_str().expect("UTF-8");
    // A file system of its own, which is full at 64 KiB and gone with the process.
    let script = format!(
        "mount -t tmpfs -o size=64k none {archive} || exit 77; \"$@\"; status=$?; ls -A {archive} >&2; exit $status"
    );
    let mut command = std::process::Command::new("unshare");
    command.args([
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        &script,
        "sh",
        env!("CARGO_BIN_EXE_chaos-report"),
    ]);
    command.args(["--archive", archive]);
    let output = feed(command, &stream);
    if !output.stdout.starts_with(b"{") && output.status.code() != Some(3) {
        eprintln!(
            "skipped: this machine gives no mount namespace: {}",
            stderr(&output)
        );
        return;
    }
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(output.stdout.starts_with(&stream));
    assert_eq!(last(&output)["data"]["location"], "not saved");
    assert!(
        stderr(&output).contains("No space left"),
        "{}",
        stderr(&output)
    );
    assert!(
        !stderr(&output).contains(".chaos-report-") && !stderr(&output).contains(".ndjson"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_reader_that_went_away_does_not_cost_the_report() {
    let bench = Bench::new();
    let mut command = std::process::Command::new("sh");
    let tool = env!("CARGO_BIN_EXE_chaos-report");
    command.arg("-c").arg(format!(
        "{{ {tool} --archive {}; echo $? >&2; }} | true",
        bench.archive().display()
    ));
    command
        .env_clear()
        .env("HOME", bench.home.path())
        .env("PATH", "/usr/bin:/bin")
        .current_dir(bench.home.path());
    let output = feed(command, &good());
    let said = stderr(&output);
    let said: Vec<&str> = said.lines().collect();
    assert!(
        matches!(said[..], [summary, "0"] if summary.starts_with("chaos-report: pass: ")),
        "no panic: {said:?}"
    );
    assert_eq!(bench.files(".md").len(), 1);
}
