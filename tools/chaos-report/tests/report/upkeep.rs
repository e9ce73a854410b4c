//! What the archive gives to others: a team's documents, comparisons, metrics.

use chaos_common::record::Check;

use crate::archive::archived;
use crate::{Bench, read, stderr, stdout};

fn two() -> Bench {
    let bench = Bench::new();
    archived(&bench, "2026-11-01", "aaaa", |run| {
        let check = Check::fail("data.rows", "users", "2 rows lost");
        run.verification().checks.push(check);
    });
    archived(&bench, "2026-11-02", "bbbb", |run| {
        let check = Check::pass("data.rows", "users", "as before");
        run.verification().checks.push(check);
    });
    bench
}

#[test]
fn a_document_is_kept_up_to_date_and_otherwise_left_byte_for_byte() {
    let bench = two();
    bench.run(&["note", "aaaa", "--lesson", "Retry | now"], b"");
    let path = bench.home.path().join("chaos-runbook.md");
    let own = "# Ours\r\n\r\n\ttext  \r\n";
    std::fs::write(&path, own).expect("writable");
    let run = |args: &[&str]| bench.run(&[&["runbook", "chaos-runbook.md"], args].concat(), b"");
    assert_eq!(run(&["--check"]).status.code(), Some(1));
    let dry = run(&["--dry-run"]);
    assert!(
        stdout(&dry).contains("\n+### Lessons\n"),
        "{}",
        stdout(&dry)
    );
    assert_eq!(read(&path), own);
    assert_eq!(run(&[]).status.code(), Some(0));
    let once = read(&path);
    assert!(once.starts_with(own), "{once}");
    let row = "| pod-failure | deployment/backend | 2026-11-02 | pass | 4.2 s | 2 |\r\n";
    assert!(once.contains(row), "{once}");
    assert!(once.contains("- Retry \\| now (20"), "{once}");
    let again = run(&[]);
    assert_eq!((stdout(&again).as_str(), read(&path)), ("", once.clone()));
    assert_eq!(run(&["--check"]).status.code(), Some(0));
    std::fs::write(&path, once.replace("runbook: end", "")).expect("writable");
    let broken = run(&[]);
    assert_eq!(broken.status.code(), Some(2));
    let why = "line 5 begins a marked part that does not end";
    assert!(stderr(&broken).contains(why), "{}", stderr(&broken));
}

#[test]
fn two_runs_are_compared() {
    let bench = two();
    let compared = bench.run(&["compare", "aaaa", "bbbb", "-o", "text"], b"");
    let text = stdout(&compared);
    assert!(text.contains("better      data.rows users"), "{text}");
    assert!(text.contains("fail -> pass"), "{text}");
    let json = stdout(&bench.run(&["compare", "bbbb", "aaaa"], b""));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["compared"][0]["change"], "worse");
}

#[test]
fn metrics_are_read_by_prometheus_own_reader() {
    let bench = two();
    bench.run(&["action", "add", "Do it", "--owner", "A \"B\" \\ C"], b"");
    let file = bench.home.path().join("chaos.prom");
    let written = bench.run(&["metrics", "--to", file.to_str().expect("UTF-8")], b"");
    assert_eq!(written.status.code(), Some(0), "{}", stderr(&written));
    let script = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics\n\
        from prometheus_client.parser import text_string_to_metric_families as prometheus\n\
        text = open(sys.argv[1]).read()\n\
        print(len(list(openmetrics(text))), len(list(prometheus(text))))\n";
    let python = |args: &[&str]| {
        // Debian's own, which the package is for; there may be another one in PATH.
        let mut command = std::process::Command::new("/usr/bin/python3");
        command.args(args).output().expect("python3 is there")
    };
    if !python(&["-c", "import prometheus_client"]).status.success() {
        crate::needs::skipped(
            "python3-prometheus-client is not installed (scripts/setup.sh installs it)",
        );
        return;
    }
    let output = python(&["-c", script, file.to_str().expect("UTF-8")]);
    assert_eq!(
        stdout(&output),
        "11 11\n",
        "{}\n{}",
        stderr(&output),
        read(&file)
    );
}

/// A program that scripts/setup.sh --look put into the cache.
fn cached(program: &str) -> std::process::Command {
    let cache = std::env::var_os("CHAOS_CACHE").map(std::path::PathBuf::from);
    let cache = cache.expect("CHAOS_CACHE is set: make look");
    std::process::Command::new(cache.join(program))
}

#[test]
#[ignore = "needs a checker of Grafana dashboards: make look"]
fn grafana_s_own_schema_accepts_the_dashboard() {
    let dashboard = Bench::new().run(&["metrics", "--dashboard"], b"").stdout;
    let checked = |dashboard: &[u8]| crate::feed(cached("bin/grafana-schema"), dashboard);
    let output = checked(&dashboard);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8(dashboard).expect("UTF-8");
    let odd = text.replace("\"frameIndex\"", "\"frame\"");
    assert_ne!(odd, text);
    let refused = stderr(&checked(odd.as_bytes()));
    assert!(refused.contains("frameIndex"), "{refused}");
}

/// Runs promtool, which must accept what it is given.
fn promtool(args: &[&str], input: &[u8]) {
    let mut command = cached("promtool/usr/bin/promtool");
    command.args(args);
    let output = crate::feed(command, input);
    let said = stdout(&output) + &stderr(&output);
    assert!(output.status.success(), "{args:?}: {said}");
    assert!(!said.contains("error"), "{args:?}: {said}");
}

#[test]
#[ignore = "needs promtool: make look"]
fn prometheus_itself_accepts_the_metrics() {
    let bench = two();
    bench.run(&["action", "add", "Do it", "--owner", "A \"B\" \\ C"], b"");
    let metrics = stdout(&bench.run(&["metrics"], b""));
    promtool(&["check", "metrics"], metrics.as_bytes());
    let stream = bench.files("bbbb.ndjson");
    let stream = std::fs::read(&stream[0]).expect("readable");
    let of_stream = stdout(&bench.run(&["metrics", "-"], &stream));
    promtool(&["check", "metrics"], of_stream.as_bytes());
    // OpenMetrics is read by what imports history, which wants a time at each sample.
    let with_time = |line: &str| {
        let time = if line.starts_with('#') {
            ""
        } else {
            " 1790000000"
        };
        format!("{line}{time}\n")
    };
    let timed: String = metrics.lines().map(with_time).collect();
    let file = bench.home.path().join("chaos.om");
    std::fs::write(&file, &timed).expect("writable");
    let blocks = bench.home.path().join("blocks");
    let paths = [&file, &blocks].map(|path| path.to_str().expect("UTF-8").to_owned());
    promtool(
        &[
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            &paths[0],
            &paths[1],
        ],
        b"",
    );
    assert!(std::fs::read_dir(&blocks).expect("made").next().is_some());
}

#[test]
fn a_stream_becomes_metrics_with_its_own_exit_status() {
    let bench = two();
    let stream = std::fs::read(&bench.files("bbbb.ndjson")[0]).expect("readable");
    let output = bench.run(&["metrics", "-", "--to", "chaos.prom"], &stream);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    let file = bench.home.path().join("chaos.prom");
    let text = read(&file);
    let passed =
        "chaos_result_verdict{result=\"chaos.backup\",namespace=\"shop\",verdict=\"pass\"} 1\n";
    assert!(text.contains(passed), "{text}");
    let good = |text: &str| {
        let name = "chaos_result_last_pass_timestamp_seconds{result=\"chaos.verification\"";
        let mut lines = text.lines();
        lines.find(|line| line.starts_with(name)).map(str::to_owned)
    };
    let failed = std::fs::read(&bench.files("aaaa.ndjson")[0]).expect("readable");
    let output = bench.run(&["metrics", "-", "--to", "chaos.prom"], &failed);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(good(&text).is_some());
    assert_eq!(good(&read(&file)), good(&text), "the last good one is kept");
    let empty = bench.run(&["metrics", "-", "--to", "chaos.prom"], b"");
    assert_eq!(empty.status.code(), Some(3), "{}", stderr(&empty));
    assert!(
        read(&file).contains("chaos_stream_whole 0\n"),
        "{}",
        read(&file)
    );
    let nowhere = bench.run(&["metrics", "-", "--to", "no/such/folder/x.prom"], &stream);
    assert_eq!(nowhere.status.code(), Some(3), "{}", stderr(&nowhere));
}

#[test]
fn an_export_is_signed_by_a_command_and_one_that_is_not_is_told() {
    let bench = two();
    let at = |name: &str| bench.home.path().join(name);
    let key = at("key").to_string_lossy().into_owned();
    let keygen = |args: &[&str], input: &[u8]| {
        let mut command = std::process::Command::new("ssh-keygen");
        command.args(args).current_dir(bench.home.path());
        crate::feed(command, input)
    };
    let made = keygen(
        &["-q", "-t", "ed25519", "-N", "", "-C", "ops", "-f", &key],
        b"",
    );
    assert!(made.status.success(), "{}", stderr(&made));
    let export = |signer: &str| {
        let set = format!("report.sign={signer}");
        let args = [
            "export",
            "--all",
            "--to",
            "all.tar.gz",
            "--sign",
            "--set",
            &set,
        ];
        bench.run(&args, b"")
    };
    let signer = format!(r#"["ssh-keygen", "-Y", "sign", "-n", "chaos-report", "-f", "{key}"]"#);
    for _ in 0..2 {
        let output = export(&signer);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let told = stderr(&output);
        assert!(told.contains("signed: all.tar.gz.sig"), "{told}");
    }
    let public = read(&at("key.pub"));
    std::fs::write(at("signers"), format!("ops {public}")).expect("writable");
    let verify = [
        "-Y",
        "verify",
        "-n",
        "chaos-report",
        "-I",
        "ops",
        "-f",
        "signers",
        "-s",
        "all.tar.gz.sig",
    ];
    let bundle = std::fs::read(at("all.tar.gz")).expect("readable");
    assert!(keygen(&verify, &bundle).status.success());
    let mut forged = bundle;
    forged[40] ^= 1;
    assert!(!keygen(&verify, &forged).status.success());
    for (signer, status, why) in [
        ("[]", 2, "no command signs exports"),
        (r#"["true"]"#, 3, "left no signature beside it"),
        (r#"["no-such-program"]"#, 3, "cannot start no-such-program"),
        (r#"["sh", "-c", "echo locked >&2; exit 4"]"#, 3, "locked"),
    ] {
        let output = export(signer);
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(status), "{told}");
        assert!(told.contains(why), "{told}");
    }
    assert!(
        !at("all.tar.gz.sig").exists(),
        "an earlier signature is gone"
    );
}
