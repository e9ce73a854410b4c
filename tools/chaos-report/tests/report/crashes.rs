//! The archive after kills at any write, and with many writers at once.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::archive::archived;
use crate::fixture::Run;
use crate::{Bench, feed, read, stderr, stdout};

/// One report is enough here, and the tool is run hundreds of times.
const MARKDOWN: [&str; 2] = ["--format", "md"];

/// The calls that change files or send something, and those before them.
const CALLS: [&str; 15] = [
    "connect",
    "sendto",
    "openat",
    "write",
    "fsync",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "fchmod",
    "mkdir",
    "mkdirat",
];

/// Kills the tool at each call that changes files or sends something, one run each, and calls
/// `after` with the number of the kill, and when the tool came to its end. How many there were.
pub(crate) fn kill_at_each_call(
    tool: &dyn Fn() -> Command,
    input: &[u8],
    mut after: impl FnMut(usize),
) -> usize {
    let mut kills = 0;
    for call in CALLS {
        let mut number = 1;
        while killed(&tool(), input, (call, number)) {
            kills += 1;
            number += 1;
            after(kills);
        }
        after(kills);
    }
    kills
}

/// Runs the tool so that it is killed as it makes this call for this time; whether it was.
fn killed(plain: &Command, input: &[u8], (call, number): (&str, usize)) -> bool {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("inject={call}:signal=KILL:when={number}"))
        .arg(plain.get_program())
        .args(plain.get_args())
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.current_dir(plain.get_current_dir().expect("a folder"));
    let output = feed(command, input);
    output.status.signal() == Some(9) || output.status.code() == Some(128 + 9)
}

pub(crate) fn has_strace() -> bool {
    let strace = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .status();
    let there = strace.is_ok_and(|status| status.success());
    if !there {
        crate::needs::skipped("strace is not installed (scripts/setup.sh installs it)");
    }
    there
}

/// The visible files, each with what it holds.
fn visible(bench: &Bench) -> Vec<(String, String)> {
    let name = |path: &PathBuf| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let files = bench.files("");
    let files = files.iter().filter(|path| !name(path).starts_with('.'));
    files.map(|path| (name(path), read(path))).collect()
}

fn listed(bench: &Bench) -> usize {
    let output = bench.run(&["list"], b"");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output).lines().count()
}

#[test]
fn a_kill_at_any_write_of_a_report_leaves_whole_files_or_none() {
    if !has_strace() {
        return;
    }
    let stream = Run::good("2026-11-22").stream();
    let whole = Bench::new();
    whole.run(&MARKDOWN, &stream);
    let whole = visible(&whole);
    let bench = Bench::new();
    let kills = kill_at_each_call(&|| bench.command(&MARKDOWN), &stream, |kills| {
        for file in visible(&bench) {
            assert!(
                whole.contains(&file),
                "after kill {kills}: {} is not whole",
                file.0
            );
        }
        assert!(listed(&bench) <= 1, "after kill {kills}");
        let _ = std::fs::remove_dir_all(bench.archive());
    });
    assert!(
        kills > 25,
        "only {kills} kills: the calls have other names here"
    );
    bench.run(&MARKDOWN, &stream);
    assert_eq!(visible(&bench), whole);
    eprintln!("{kills} kills");
}

#[test]
fn a_kill_while_the_archive_is_changed_loses_nothing_that_was_there() {
    if !has_strace() {
        return;
    }
    let bench = Bench::new();
    archived(&bench, "2020-01-01", "aaaa", |_| {});
    archived(&bench, "2999-01-01", "bbbb", |_| {});
    let other = Bench::new();
    archived(&other, "2998-01-01", "cccc", |_| {});
    let bundle = other.home.path().join("b.tar.gz");
    let bundle = bundle.to_str().expect("UTF-8");
    other.run(&["export", "--all", "--to", bundle], b"");
    let commands: [&[&str]; 4] = [
        &["list"],
        &["note", "bbbb", "--lesson", "x"],
        &["import", bundle],
        &["prune", "--keep", "365", "--yes"],
    ];
    let before = visible(&bench);
    let mut all = 0;
    for command in commands {
        all += kill_at_each_call(&|| bench.command(command), b"", |kills| {
            let now = visible(&bench);
            for file in before.iter().filter(|file| file.0.contains("bbbb")) {
                let there = now.contains(file);
                assert!(there, "{command:?}: {} after kill {kills}", file.0);
            }
            for (name, text) in &now {
                let whole = match name.rsplit('.').next() {
                    Some("md") => text.ends_with('\n'),
                    Some("html") => text.trim_end().ends_with("</html>"),
                    _ => text.starts_with('{') && text.ends_with('\n'),
                };
                assert!(whole, "{command:?}: {name} after kill {kills}");
            }
            let list = stdout(&bench.run(&["list"], b""));
            assert!(list.contains("bbbb"), "{command:?} after kill {kills}");
            // The next one finds the archive as this one did.
            std::fs::remove_dir_all(bench.archive()).expect("removable");
            std::fs::create_dir(bench.archive()).expect("can be made");
            for (name, text) in &before {
                std::fs::write(bench.archive().join(name), text).expect("writable");
            }
        });
    }
    for command in commands {
        bench.run(command, b"");
    }
    let list = stdout(&bench.run(&["list"], b""));
    assert!(list.contains("cccc"), "the import came to its end");
    assert!(!list.contains("aaaa"), "so did the removal");
    assert!(all > 80, "only {all} kills");
    eprintln!("{all} kills");
}

#[test]
fn two_hundred_writers_at_once_are_all_there() {
    const WRITERS: usize = 200;
    let bench = Bench::new();
    let stream = Run::good("2026-11-22").stream();
    let file = bench.home.path().join("stream.ndjson");
    std::fs::write(&file, &stream).expect("writable");
    let writer = |_| {
        let input = std::fs::File::open(&file).expect("readable");
        let mut command = bench.command(&MARKDOWN);
        command
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().expect("the tool can be started")
    };
    let writers: Vec<_> = (0..WRITERS).map(writer).collect();
    for mut writer in writers {
        let status = writer.wait().expect("the tool ends");
        assert_eq!(status.code(), Some(0));
    }
    let files = visible(&bench);
    let of = |ending: &str| {
        files
            .iter()
            .filter(|(name, _)| name.ends_with(ending))
            .count()
    };
    assert_eq!((of(".ndjson"), of(".md")), (WRITERS, WRITERS));
    let whole = files.iter().filter(|(_, text)| text.as_bytes() == stream);
    assert_eq!(whole.count(), WRITERS);
    assert_eq!(bench.files("").len(), files.len(), "no draft is left");
    assert_eq!(listed(&bench), 1, "it is one run, archived many times");
}
