//! The archive: lists and searches, packed and moved streams, bundles, and what leaves it.

use std::io::Write as _;
use std::path::Path;
use std::process::Output;

use chaos_common::record::Check;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::fixture::Run;
use crate::{Bench, last, read, stderr, stdout};

/// Archives a run of this day with this end of its id.
pub(crate) fn archived(bench: &Bench, day: &str, id: &str, change: impl Fn(&mut Run)) {
    let mut run = Run::good(day);
    run.id = format!("01981f3e-0000-7000-8000-{id:0>12}");
    change(&mut run);
    let output = bench.run(&[], &run.stream());
    assert_eq!(
        last(&output)["schema"],
        "chaos.report/1",
        "{}",
        stderr(&output)
    );
}

fn lost(run: &mut Run) {
    let check = Check::fail("data.rows", "users", "2 Rows lost");
    run.verification().checks.push(check);
}

/// The runs that a command lists, as their ids' ends.
pub(crate) fn listed(output: &Output) -> Vec<String> {
    let text = stdout(output);
    let run = |line: &str| {
        let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let run = object["run"].as_str().expect("a run").to_owned();
        run[run.len() - 4..].to_owned()
    };
    text.lines().map(run).collect()
}

fn three() -> Bench {
    let bench = Bench::new();
    archived(&bench, "2026-10-31", "aaaa", lost);
    archived(&bench, "2026-11-01", "bbbb", |_| {});
    archived(&bench, "2026-11-02", "cccc", |run| {
        run.experiment().experiment = "storage-failure".into();
    });
    bench
}

#[test]
fn runs_are_listed_in_order_of_time_and_narrowed_down() {
    let bench = three();
    let list = |args: &[&str]| {
        let output = bench.run(&[&["list"], args].concat(), b"");
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        listed(&output)
    };
    assert_eq!(list(&[]), ["aaaa", "bbbb", "cccc"]);
    assert_eq!(list(&["--last", "1"]), ["cccc"]);
    assert_eq!(list(&["--status", "fail"]), ["aaaa"]);
    assert_eq!(list(&["--experiment", "pod-failure"]), ["aaaa", "bbbb"]);
    assert_eq!(
        list(&["--since", "2026-11-01", "--until", "2026-11-01"]),
        ["bbbb"]
    );
    assert_eq!(list(&["--target", "backend", "--by", "ops"]).len(), 3);
    let table = bench.run(&["list", "-o", "text"], b"");
    let line = stdout(&table).lines().last().expect("a run").to_owned();
    assert!(
        line.starts_with("2026-11-02 16:00  0000cccc  storage-failure  deployment/backend  pass"),
        "{line}"
    );
    let wrong = bench.run(&["list", "--status", "good"], b"");
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn the_index_is_made_again_when_it_is_lost_or_damaged() {
    let bench = three();
    let index = bench.archive().join(".chaos-report-index.ndjson");
    let list = || listed(&bench.run(&["list"], b""));
    let all = list();
    let whole = std::fs::read(&index).expect("the index is kept");
    for damage in [
        &whole[..whole.len() / 2],
        b"",
        b"{\"index\":99}\n",
        b"\xff\xfe",
    ] {
        std::fs::write(&index, damage).expect("writable");
        assert_eq!(list(), all);
        let again = std::fs::read(&index).expect("kept again");
        assert_eq!(again, whole);
    }
    std::fs::remove_file(&index).expect("removable");
    assert_eq!(list(), all);
}

#[test]
fn a_stream_that_was_changed_is_read_again() {
    let bench = three();
    assert_eq!(listed(&bench.run(&["list"], b"")).len(), 3);
    let mut files = bench.files(".ndjson");
    files.retain(|path| !hidden(path));
    let path = &files[1];
    assert!(path.to_string_lossy().contains("0000bbbb"), "{path:?}");
    let text = read(path).replace("pod-failure", "dns-failure");
    std::fs::write(path, text).expect("writable");
    let found = bench.run(&["list", "--experiment", "dns-failure"], b"");
    assert_eq!(listed(&found), ["bbbb"]);
}

#[test]
fn packed_and_moved_streams_are_read_and_lost_ones_named() {
    let bench = three();
    bench.run(&["list"], b"");
    let files: Vec<_> = bench.files("ndjson");
    let streams: Vec<_> = files.iter().filter(|path| !hidden(path)).collect();
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed
        .write_all(&std::fs::read(streams[0]).expect("readable"))
        .expect("memory");
    let packed = packed.finish().expect("memory");
    std::fs::write(streams[0].with_extension("ndjson.gz"), packed).expect("writable");
    std::fs::remove_file(streams[0]).expect("removable");
    let year = bench.archive().join("2026");
    std::fs::create_dir(&year).expect("can be made");
    let moved = year.join(streams[1].file_name().expect("a name"));
    std::fs::rename(streams[1], moved).expect("can be moved");
    let output = bench.run(&["list"], b"");
    assert_eq!(
        listed(&output),
        ["aaaa", "bbbb", "cccc"],
        "{}",
        stderr(&output)
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    std::fs::remove_file(streams[2]).expect("removable");
    for _ in 0..2 {
        let output = bench.run(&["list"], b"");
        assert_eq!(listed(&output), ["aaaa", "bbbb"]);
        assert_eq!(output.status.code(), Some(3));
        let told = "storage-failure-0000cccc.ndjson: it was in the archive and is gone";
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
    let review = bench.run(&["review", "year", "2026"], b"");
    assert_eq!(crate::check(&review, "report.archive"), "unknown");
    assert!(read(&bench.archive().join("yearly-2026.md")).contains("0000cccc.ndjson"));
}

fn hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with('.')
}

#[test]
fn words_are_found_in_what_is_known_of_a_run_or_in_its_whole_stream() {
    let bench = three();
    bench.run(&["note", "bbbb", "--lesson", "Retry three times"], b"");
    let search = |args: &[&str]| bench.run(&[&["search"], args].concat(), b"");
    assert_eq!(listed(&search(&["ROWS", "lost"])), ["aaaa"]);
    assert_eq!(listed(&search(&["retry"])), ["bbbb"]);
    let text = stdout(&search(&["retry", "-o", "text"]));
    assert!(text.contains("    lesson: Retry three times ("), "{text}");
    let nothing = search(&["read in full"]);
    assert_eq!(
        (listed(&nothing).len(), nothing.status.code()),
        (0, Some(1))
    );
    assert_eq!(listed(&search(&["--streams", "read in full"])).len(), 3);
}

#[test]
fn a_run_is_shown_with_what_people_said_of_it() {
    let bench = three();
    let report = read(
        &bench
            .archive()
            .join("20261101T160010Z-pod-failure-0000bbbb.md"),
    );
    bench.run(
        &["note", "bbbb", "--lesson", "Retry", "--executor", "Ana"],
        b"",
    );
    let shown = bench.run(&["show", "bbbb"], b"");
    let text = stdout(&shown);
    assert!(text.starts_with(&report), "{text}");
    assert!(text.contains("## Notes\n\n- executor: Ana ("), "{text}");
    let mut run = Run::good("2026-11-01");
    run.id = "01981f3e-0000-7000-8000-00000000bbbb".to_owned();
    let stream = bench.run(&["show", "--stream", "bbbb"], b"");
    assert_eq!(stream.stdout, run.stream());
    let none = bench.run(&["show", "dddd"], b"");
    assert_eq!(none.status.code(), Some(2));
    assert!(
        stderr(&none).contains("there is no run \"dddd\""),
        "{}",
        stderr(&none)
    );
    let last = bench.run(&["show", "--stream", "last"], b"");
    assert!(String::from_utf8_lossy(&last.stdout).contains("storage-failure"));
}

#[test]
fn a_bundle_brings_runs_reports_and_notes_to_another_archive() {
    let (here, there) = (three(), Bench::new());
    here.run(&["note", "bbbb", "--lesson", "Retry"], b"");
    let bundle = here.home.path().join("b.tar.gz");
    let bundle = bundle.to_str().expect("UTF-8");
    let made = here.run(&["export", "bbbb", "--to", bundle], b"");
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let twice = here.run(&["export", "bbbb"], b"");
    assert_eq!(
        twice.stdout,
        std::fs::read(bundle).expect("there"),
        "the same bytes"
    );
    for added in [
        "2 streams added, 0 were there",
        "0 streams added, 2 were there",
    ] {
        let taken = there.run(&["import", bundle], b"");
        assert!(stderr(&taken).contains(added), "{}", stderr(&taken));
    }
    let shown = |bench: &Bench| stdout(&bench.run(&["show", "bbbb"], b""));
    assert_eq!(shown(&there), shown(&here));
    let sums = std::process::Command::new("sh")
        .args([
            "-c",
            "tar -xzf b.tar.gz && sha256sum --check --strict SHA256SUMS",
        ])
        .current_dir(here.home.path())
        .output()
        .expect("sha256sum is there");
    assert!(sums.status.success(), "{sums:?}");
}

#[test]
fn a_bundle_that_was_cut_or_changed_is_refused_whole() {
    let here = three();
    let bundle = here.run(&["export", "--all"], b"").stdout;
    let refused = |bytes: &[u8], why: &str| {
        let there = Bench::new();
        let file = there.home.path().join("b.tar.gz");
        std::fs::write(&file, bytes).expect("writable");
        let output = there.run(&["import", file.to_str().expect("UTF-8")], b"");
        assert_ne!(output.status.code(), Some(0));
        assert!(stderr(&output).contains(why), "{why}: {}", stderr(&output));
        assert!(there.files("").is_empty(), "{:?}", there.files(""));
    };
    refused(&bundle[..bundle.len() / 2], "cannot read it");
    refused(b"something", "cannot read it");
    let of = |members: &[(&str, &str)]| {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (name, text) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            // The name is written as it is: the crate would refuse to.
            let field = &mut header.as_gnu_mut().expect("GNU").name;
            field[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, text.as_bytes()).expect("memory");
        }
        let packed = builder.into_inner().expect("memory");
        packed.finish().expect("memory")
    };
    refused(&of(&[("../x.ndjson", "{}\n")]), "no stream or report");
    refused(&of(&[("passwd", "root\n")]), "no stream or report");
    refused(&of(&[("x.ndjson", "{}\n")]), "holds no SHA256SUMS");
    let wrong = format!("{}  x.ndjson\n", "0".repeat(64));
    let changed = of(&[("x.ndjson", "{}\n"), ("SHA256SUMS", &wrong)]);
    refused(
        &changed,
        "x.ndjson is not what its digest in SHA256SUMS says",
    );
    let missing = of(&[("SHA256SUMS", &wrong)]);
    refused(&missing, "x.ndjson is named in SHA256SUMS and missing");
}

#[test]
fn old_runs_are_removed_only_with_consent_and_not_with_open_ends() {
    let bench = Bench::new();
    archived(&bench, "2020-01-01", "aaaa", |_| {});
    archived(&bench, "2020-01-02", "bbbb", |_| {});
    archived(&bench, "2020-01-03", "cccc", |run| {
        run.experiment().outcome = chaos_common::record::Outcome::NotRestored;
    });
    archived(&bench, "2999-01-01", "dddd", |_| {});
    bench.run(&["note", "aaaa", "--lesson", "goes with the run"], b"");
    bench.run(&["note", "bbbb", "--next-step", "still to be done"], b"");
    let prune = |args: &[&str]| bench.run(&[&["prune", "--keep", "365"], args].concat(), b"");
    assert_eq!(prune(&[]).status.code(), Some(2));
    let before = bench.files("");
    let dry = prune(&["--dry-run"]);
    assert!(
        stderr(&dry).contains("2 of 6 streams would be removed"),
        "{}",
        stderr(&dry)
    );
    let unhidden = |files: Vec<std::path::PathBuf>| -> Vec<_> {
        files.into_iter().filter(|path| !hidden(path)).collect()
    };
    assert_eq!(unhidden(bench.files("")), unhidden(before));
    let done = prune(&["--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let left = bench.run(&["list"], b"");
    assert_eq!(listed(&left), ["bbbb", "cccc", "dddd"]);
    assert_eq!(
        left.status.code(),
        Some(0),
        "what was removed on purpose is not missed"
    );
    let names = format!("{:?}", bench.files(""));
    assert!(!names.contains("aaaa"), "{names}");
}

#[test]
fn a_bundle_of_many_runs_needs_no_open_file_for_each() {
    const STREAMS: usize = 100;
    let (here, there) = (Bench::new(), Bench::new());
    std::fs::create_dir(here.archive()).expect("can be made");
    for number in 0..STREAMS {
        let name = here.archive().join(format!("x-{number}.ndjson"));
        let other = format!("{{\"schema\":\"acme.thing/1\",\"number\":{number}}}\n");
        std::fs::write(name, other).expect("writable");
    }
    let bundle = here.home.path().join("b.tar.gz");
    let bundle = bundle.to_str().expect("UTF-8");
    here.run(&["export", "--all", "--to", bundle], b"");
    let plain = there.command(&["import", bundle]);
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "ulimit -n 40 && exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args());
    let output = crate::feed(limited, b"");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(there.files(".ndjson").len(), STREAMS);
}
