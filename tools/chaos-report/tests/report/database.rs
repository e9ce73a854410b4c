//! The archive in PostgreSQL: the same commands as with a folder, on a real server.

use std::process::{Command, Output, Stdio};

use crate::archive::listed;
use crate::crashes::{has_strace, kill_at_each_call};
use crate::fixture::Run;
use crate::server::Server;
use crate::{Bench, check, feed, last, read, stderr, stdout};

/// A machine whose archive is in the database that this table names.
pub(crate) fn machine(table: &str) -> Bench {
    let bench = Bench::new();
    let folder = format!(
        "[report]\narchive = '{}'\n{table}",
        bench.archive().display()
    );
    std::fs::write(bench.home.path().join("chaos.toml"), folder).expect("writable");
    bench
}

impl Bench {
    /// The tool with the archive that chaos.toml names.
    fn configured(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-report"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.home.path());
        command
    }

    fn tool(&self, args: &[&str], input: &[u8]) -> Output {
        feed(self.configured(args), input)
    }

    /// Its output, of a call that succeeds.
    fn says(&self, args: &[&str]) -> String {
        let output = self.tool(args, b"");
        assert_eq!(
            output.status.code(),
            Some(0),
            "{args:?}: {}",
            stderr(&output)
        );
        stdout(&output)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.archive().join(folder));
        let entries = entries.into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

fn run(day: &str, id: &str) -> Vec<u8> {
    let mut run = Run::good(day);
    run.id = format!("01981f3e-0000-7000-8000-{id:0>12}");
    run.stream()
}

/// Reports on runs of three days.
fn three(bench: &Bench) {
    for (day, id) in [
        ("2020-01-01", "aaaa"),
        ("2026-11-01", "bbbb"),
        ("2026-11-02", "cccc"),
    ] {
        let output = bench.tool(&[], &run(day, id));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert_eq!(check(&output, "report.saved"), "pass");
    }
}

#[test]
fn every_command_finds_on_one_machine_what_another_has_kept() {
    let Some(server) = Server::start() else {
        return;
    };
    let here = machine(&server.by_socket(""));
    let there = machine(&server.by_socket(""));
    three(&here);
    let name = "20261101T160010Z-pod-failure-0000bbbb";
    let copies = here.names("");
    assert_eq!(
        copies.len(),
        6,
        "reports are copied, streams are not: {copies:?}"
    );
    assert!(there.names("").is_empty());
    assert_eq!(
        listed(&there.tool(&["list"], b"")),
        ["aaaa", "bbbb", "cccc"]
    );
    let report = read(&here.archive().join(format!("{name}.md")));
    assert_eq!(there.says(&["show", "bbbb"]), report);
    let stream = there.tool(&["show", "--stream", "bbbb"], b"").stdout;
    assert_eq!(stream, run("2026-11-01", "bbbb"), "byte for byte");
    there.says(&["note", "bbbb", "--lesson", "Retry three times"]);
    assert_eq!(listed(&here.tool(&["search", "RETRY"], b"")), ["bbbb"]);
    assert_eq!(
        listed(&here.tool(&["search", "--streams", "read in full"], b"")).len(),
        3
    );
    assert!(
        here.says(&["show", "bbbb"])
            .contains("- lesson: Retry three times (")
    );
    there.says(&["action", "add", "Raise the limit", "--run", "cccc"]);
    assert!(
        here.says(&["action", "list", "-o", "text"])
            .contains("Raise the limit (run 0000cccc)")
    );
    assert!(here.says(&["compare", "aaaa", "cccc"]).contains("compared"));
    assert!(here.says(&["metrics"]).contains("chaos_archive_streams 5"));
    let review = there.tool(&["review", "month", "2026-11"], b"");
    assert_eq!(review.status.code(), Some(0), "{}", stderr(&review));
    let review = read(&there.archive().join("monthly-2026-11.md"));
    assert!(review.contains("- **Total Experiments**: 2"), "{review}");
    let kept = server
        .psql("SELECT string_agg(name, ' ' ORDER BY name) FROM chaos_report.review")
        .expect("it answers");
    assert_eq!(kept, "monthly-2026-11.html monthly-2026-11.md");
    let pruned = there.tool(&["prune", "--keep", "365", "--yes"], b"");
    // The one with a next step stays, however old it is.
    assert_eq!(pruned.status.code(), Some(0), "{}", stderr(&pruned));
    let left = listed(&here.tool(&["list"], b""));
    assert!(
        !left.contains(&"aaaa".to_owned()) && left.contains(&"cccc".to_owned()),
        "{left:?}"
    );
}

#[test]
fn a_bundle_goes_from_a_folder_to_the_database_and_back_with_the_same_bytes() {
    let Some(server) = Server::start() else {
        return;
    };
    let (folder, machine) = (Bench::new(), machine(&server.by_socket("")));
    for (day, id) in [("2026-10-31", "aaaa"), ("2026-11-01", "bbbb")] {
        folder.run(&["--format", "md,html,json,junit,summary"], &run(day, id));
    }
    // The same run again, and one that was packed since.
    folder.run(&[], &run("2026-11-01", "bbbb"));
    folder.run(&["note", "aaaa", "--lesson", "Retry"], b"");
    let first = folder.files("0000aaaa.ndjson").remove(0);
    let packed = Command::new("gzip")
        .arg(first)
        .status()
        .expect("gzip is there");
    assert!(packed.success());
    let bundle = folder.home.path().join("all.tar.gz");
    let path = bundle.to_str().expect("UTF-8");
    let made = folder.run(&["export", "--all", "--to", path], b"");
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    let bytes = std::fs::read(&bundle).expect("there");
    for added in [
        "4 streams added, 0 were there",
        "0 streams added, 4 were there",
    ] {
        let taken = machine.tool(&["import", path], b"");
        assert!(stderr(&taken).contains(added), "{}", stderr(&taken));
    }
    assert!(machine.names("").is_empty(), "{:?}", machine.names(""));
    assert!(
        bytes == machine.tool(&["export", "--all"], b"").stdout,
        "the same bundle"
    );
    let back = Bench::new();
    back.run(&["import", path], b"");
    assert!(
        bytes == back.run(&["export", "--all"], b"").stdout,
        "and back"
    );
    assert_eq!(listed(&machine.tool(&["list"], b"")), ["aaaa", "bbbb"]);
}

#[test]
fn a_report_waits_in_the_folder_while_the_database_is_away() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let bench = machine(&server.by_socket(""));
    three(&bench);
    server.stop();
    let stream = run("2026-11-03", "dddd");
    let output = bench.tool(&["--lesson", "It can wait"], &stream);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(check(&output, "report.saved"), "warn");
    assert!(output.stdout.starts_with(&stream));
    let said = stderr(&output);
    assert!(
        said.contains("until the database takes it: database postgres at "),
        "{said}"
    );
    assert!(
        said.contains("the next chaos-report that reaches it sends what waits"),
        "{said}"
    );
    let location = last(&output)["data"]["location"]
        .as_str()
        .expect("a path")
        .to_owned();
    assert!(read(std::path::Path::new(&location)).starts_with("# Chaos Engineering"));
    let stem = "20261103T160010Z-pod-failure-0000dddd";
    let waiting = bench.names("unsent");
    assert!(waiting.contains(&format!("{stem}.ndjson")), "{waiting:?}");
    assert_eq!(waiting.len(), 4, "the note waits as well: {waiting:?}");
    let list = bench.tool(&["list"], b"");
    assert_eq!(list.status.code(), Some(3), "{}", stderr(&list));
    assert!(stderr(&list).contains("cannot list the archive database postgres"));
    // One that comes while the server is back again takes the others along.
    server.again();
    let next = bench.tool(&[], &run("2026-11-04", "eeee"));
    assert!(
        stderr(&next).contains("2 streams that waited in "),
        "{}",
        stderr(&next)
    );
    assert!(
        bench.names("unsent").is_empty(),
        "{:?}",
        bench.names("unsent")
    );
    assert!(
        bench.names("").contains(&format!("{stem}.md")),
        "its reports are copies now"
    );
    let list = bench.tool(&["list"], b"");
    assert_eq!(listed(&list), ["aaaa", "bbbb", "cccc", "dddd", "eeee"]);
    let kept = bench.tool(&["show", "--stream", "dddd"], b"").stdout;
    assert_eq!(kept, stream, "byte for byte");
    assert!(
        bench
            .says(&["show", "dddd"])
            .contains("- lesson: It can wait (")
    );
}

#[test]
fn an_archive_of_a_newer_version_is_refused_with_both_versions() {
    let Some(server) = Server::start() else {
        return;
    };
    let bench = machine(&server.by_socket(""));
    three(&bench);
    let newer = "INSERT INTO chaos_report.migration VALUES (99, 'chaos-report 9.9.9')";
    server.psql(newer).expect("accepted");
    let list = bench.tool(&["list"], b"");
    assert_eq!(list.status.code(), Some(3));
    for part in [
        "version 99, made by chaos-report 9.9.9",
        "versions up to 1",
        "this is chaos-report",
    ] {
        assert!(stderr(&list).contains(part), "{part}: {}", stderr(&list));
    }
    let output = bench.tool(&[], &run("2026-11-03", "dddd"));
    assert_eq!(check(&output, "report.saved"), "warn");
    assert_eq!(bench.names("unsent").len(), 3);
    let streams = server
        .psql("SELECT count(*) FROM chaos_report.stream")
        .expect("it answers");
    assert_eq!(streams, "3", "nothing was written");
}

#[test]
fn what_is_kept_beside_a_stream_is_made_anew_from_it() {
    let Some(server) = Server::start() else {
        return;
    };
    let bench = machine(&server.by_socket(""));
    three(&bench);
    let list = bench.says(&["list"]);
    for damage in ["form = 0, facts = NULL", "facts = '{', answers = NULL"] {
        let sql = format!("UPDATE chaos_report.stream SET {damage}");
        server.psql(&sql).expect("accepted");
        assert_eq!(bench.says(&["list"]), list);
        let whole = "SELECT count(*) FROM chaos_report.stream WHERE form > 0 AND answers <> ''";
        assert_eq!(server.psql(whole).as_deref(), Some("3"), "{damage}");
    }
}

#[test]
fn teams_have_schemas_of_their_own_and_readers_only_read() {
    let Some(server) = Server::start() else {
        return;
    };
    let ours = machine(&server.by_socket(""));
    let theirs = machine(&server.by_socket("schema = \"Team \\\"B\\\"\""));
    three(&ours);
    assert!(listed(&theirs.tool(&["list"], b"")).is_empty());
    theirs.tool(&[], &run("2026-11-03", "dddd"));
    assert_eq!(listed(&theirs.tool(&["list"], b"")), ["dddd"]);
    assert_eq!(listed(&ours.tool(&["list"], b"")).len(), 3);
    server
        .psql(
            "CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA chaos_report TO reader; \
             GRANT SELECT ON ALL TABLES IN SCHEMA chaos_report TO reader",
        )
        .expect("accepted");
    let table = server
        .by_socket("")
        .replace("user = \"postgres\"", "user = \"reader\"");
    let reader = machine(&table);
    let output = reader.tool(&[], &run("2026-11-05", "ffff"));
    assert_eq!(check(&output, "report.saved"), "warn");
    assert!(
        stderr(&output).contains("permission denied"),
        "{}",
        stderr(&output)
    );
    let list = reader.tool(&["list"], b"");
    assert_eq!(
        listed(&list).len(),
        3,
        "what waits hinders nobody: {}",
        stderr(&list)
    );
    let outsider =
        machine(&table.replace("[report.database]", "[report.database]\nschema = \"new\""));
    let list = outsider.tool(&["list"], b"");
    assert!(
        stderr(&list).contains("the archive's tables can't be made"),
        "{}",
        stderr(&list)
    );
}

#[test]
fn the_way_is_encrypted_and_the_password_is_in_a_file() {
    let Some(server) = Server::start() else {
        return;
    };
    let files = |ca: &str| {
        let (ca, password) = (server.path(ca), server.path("password"));
        format!("user = \"postgres\"\nca = {ca:?}\npassword = {{ file = {password:?} }}")
    };
    let good = machine(&server.by_port(&files("ca.pem")));
    three(&good);
    assert_eq!(listed(&good.tool(&["list"], b"")).len(), 3);
    let refused = |table: &str, why: &str| {
        let list = machine(table).tool(&["list"], b"");
        assert_eq!(list.status.code(), Some(3), "{}", stderr(&list));
        assert!(stderr(&list).contains(why), "{why}: {}", stderr(&list));
        assert!(!stderr(&list).contains("secret\n"), "{}", stderr(&list));
    };
    refused(
        &server.by_port(&files("other.pem")),
        "as report.database.ca",
    );
    let by_address = server
        .by_port(&files("ca.pem"))
        .replace("localhost", "127.0.0.1");
    refused(&by_address, "set report.database.host to the name");
    let wrong = files("ca.pem").replace("/password", "/data/PG_VERSION");
    refused(&server.by_port(&wrong), "report.database.password");
    let none = files("ca.pem").replace("/password", "/nowhere");
    refused(&server.by_port(&none), "nowhere");
}

#[test]
fn two_hundred_writers_at_once_are_all_in_the_database() {
    const WRITERS: usize = 200;
    let Some(server) = Server::start() else {
        return;
    };
    let bench = machine(&server.by_socket(""));
    let writer = |number| {
        let file = bench.home.path().join(format!("{number}.ndjson"));
        let stream = run("2026-11-01", &format!("{number:04}"));
        std::fs::write(&file, stream).expect("writable");
        let input = std::fs::File::open(&file).expect("readable");
        let mut command = bench.configured(&["--format", "md"]);
        command
            .stdin(input)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().expect("the tool can be started")
    };
    // More than the server takes at a time: what it refuses waits. And there are no tables yet.
    let writers: Vec<_> = (0..WRITERS).map(writer).collect();
    for mut writer in writers {
        assert_eq!(writer.wait().expect("the tool ends").code(), Some(0));
    }
    let sent = bench.tool(&["list"], b"");
    let mut there = listed(&sent);
    there.sort();
    let all: Vec<String> = (0..WRITERS).map(|number| format!("{number:04}")).collect();
    assert_eq!(there, all, "{}", stderr(&sent));
    assert!(bench.names("unsent").is_empty());
    let copies = bench.names("");
    let copies = copies.iter().filter(|name| name.contains(".md")).count();
    assert_eq!(copies, WRITERS, "each has its report");
    let reports = server.psql("SELECT count(*) FROM chaos_report.report");
    assert_eq!(reports, Some(WRITERS.to_string()));
}

#[test]
fn a_kill_at_any_call_leaves_whole_runs_in_the_database_or_none() {
    if !has_strace() {
        return;
    }
    let Some(server) = Server::start() else {
        return;
    };
    let bench = machine(&server.by_socket(""));
    let stream = run("2026-11-01", "bbbb");
    bench.says(&["list"]);
    let args = ["--format", "md"];
    let command = || bench.configured(&args);
    let mut found = [0, 0];
    let kills = kill_at_each_call(&command, &stream, |kills| {
        let count = "SELECT count(*) || ' ' || count(r.stem) FROM chaos_report.stream s \
                     LEFT JOIN chaos_report.report r USING (stem)";
        let count = server.psql(count).expect("it answers");
        assert!(
            ["0 0", "1 1"].contains(&count.as_str()),
            "after kill {kills}: {count}"
        );
        found[usize::from(count == "1 1")] += 1;
        let list = bench.tool(&["list"], b"");
        assert_eq!(
            list.status.code(),
            Some(0),
            "after kill {kills}: {}",
            stderr(&list)
        );
        if !listed(&list).is_empty() {
            let kept = bench.tool(&["show", "--stream", "last"], b"").stdout;
            assert_eq!(kept, stream, "after kill {kills}");
            bench.says(&["show", "last"]);
        }
        server
            .psql("DELETE FROM chaos_report.stream")
            .expect("accepted");
        let _ = std::fs::remove_dir_all(bench.archive());
    });
    assert!(
        kills > 40 && found[0] > 10 && found[1] > 2,
        "{kills} kills, {found:?}"
    );
    eprintln!("{kills} kills: {found:?} without and with a run");
}

#[test]
fn a_kill_at_any_call_loses_nothing_that_waits() {
    if !has_strace() {
        return;
    }
    let Some(mut server) = Server::start() else {
        return;
    };
    let bench = machine(&server.by_socket(""));
    bench.says(&["list"]);
    server.stop();
    for (day, id) in [("2026-11-01", "bbbb"), ("2026-11-02", "cccc")] {
        bench.tool(&[], &run(day, id));
    }
    server.again();
    let waiting: Vec<(String, Vec<u8>)> = bench
        .names("unsent")
        .into_iter()
        .map(|name| {
            let bytes = std::fs::read(bench.archive().join("unsent").join(&name));
            (name, bytes.expect("readable"))
        })
        .collect();
    let kills = kill_at_each_call(&|| bench.configured(&["list"]), b"", |kills| {
        let list = bench.tool(&["list"], b"");
        assert_eq!(
            listed(&list),
            ["bbbb", "cccc"],
            "after kill {kills}: {}",
            stderr(&list)
        );
        let count = "SELECT (SELECT count(*) FROM chaos_report.stream) || ' ' || \
                     (SELECT count(*) FROM chaos_report.report)";
        assert_eq!(
            server.psql(count).as_deref(),
            Some("2 4"),
            "after kill {kills}"
        );
        assert!(bench.names("unsent").is_empty(), "after kill {kills}");
        server
            .psql("DELETE FROM chaos_report.stream")
            .expect("accepted");
        std::fs::remove_dir_all(bench.archive()).expect("removable");
        std::fs::create_dir_all(bench.archive().join("unsent")).expect("can be made");
        for (name, bytes) in &waiting {
            std::fs::write(bench.archive().join("unsent").join(name), bytes).expect("writable");
        }
    });
    assert!(kills > 40, "only {kills} kills");
    eprintln!("{kills} kills");
}
