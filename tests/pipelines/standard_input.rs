//! What is on standard input where a tool is started: by a shell's script, a loop, cron, ssh or CI.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use chaos_tests::run::{Place, Ran};

use super::{CALLS, place_with_dead_cluster};

/// A place in which backups can be checked without a cluster: there is one, and it is good.
pub(crate) fn place_with_backup() -> Place {
    let place = Place::new();
    place.file("app/a.txt", "hello");
    place.file(
        "chaos.toml",
        "[application]\nnamespace = \"shop\"\n\n[[backup]]\nname = \"app\"\nkind = \"tar\"\npath = \"app.tar\"\nmax_age = \"1h\"\n",
    );
    place.shell("tar -cf app.tar app").exits(0);
    place
}

#[test]
fn a_first_line_that_is_no_record_is_named_and_ends_the_tool_at_once() {
    let place = place_with_dead_cluster();
    for (foreign, shown) in [
        ("NAME   READY\nshop   1/1\n", "NAME   READY"),
        ("pass  pods.ready\n", "pass  pods.ready"),
        ("[]\n", "[]"),
        ("{\"a\":1}\n", "a"),
    ] {
        for call in CALLS {
            let ran = place.fed(call[0], &call[1..], foreign).exits(2);
            let ran = ran.says("no stream of records").says(shown);
            assert_eq!(ran.stdout(), "", "{}", ran.show());
        }
    }
    place
        .shell("CHAOS_OUTPUT=text chaos-health -n shop | chaos-backup-check -n shop")
        .exits(2)
        .says("CHAOS_OUTPUT=text");
}

#[test]
fn an_input_without_a_byte_is_no_stream() {
    let place = place_with_dead_cluster();
    // These begin a run.
    for call in [CALLS[0], CALLS[1], CALLS[3]] {
        let ran = place.fed(call[0], &call[1..], "").exits(3);
        assert!(!ran.stdout().contains("stream.upstream"), "{}", ran.show());
    }
    // This one has nothing to report on.
    place
        .fed("chaos-report", &[], "")
        .exits(2)
        .says("no stream");
    let place = place_with_backup();
    for line in [
        ": | chaos-backup-check",
        "chaos-backup-check <<<''",
        "chaos-backup-check </dev/null",
        "chaos-backup-check <&-",
        "touch empty; chaos-backup-check <empty",
    ] {
        // A here-string is a line, if an empty one.
        let status = if line.contains("<<<") { 2 } else { 0 };
        place.shell(line).exits(status);
    }
}

#[test]
fn the_rest_of_a_script_that_a_shell_reads_from_its_standard_input_is_left_to_it() {
    let place = place_with_dead_cluster();
    let says_after = |ran: Ran| assert!(ran.stdout().ends_with("after\n"), "{}", ran.show());
    for script in [
        "chaos-health -n shop -o text | tail -1\necho after\n",
        // Reads one line, which is no record, and stops.
        "chaos-backup-check -n shop\necho lost\necho after\n",
    ] {
        says_after(place.fed("bash", &[], script).exits(0));
        place.file("script.sh", script);
        says_after(place.shell("bash <script.sh").exits(0));
        says_after(place.shell("cat script.sh | bash -s").exits(0));
    }
}

#[test]
fn a_loop_over_names_does_all_of_them() {
    let place = place_with_dead_cluster();
    let line =
        "printf 'one\\ntwo\\nthree\\n' | while read -r ns; do chaos-health -n $ns -o text; done";
    let ran = place.shell(&format!("{line} | grep -c '^unknown  cluster.reachable'"));
    assert_eq!(ran.stdout().trim(), "3", "{}", ran.show());
}

/// As `ssh host chaos-health` has it: a socket on which nothing comes, and no end either.
#[test]
fn an_input_that_nobody_writes_to_holds_no_health_check_up() {
    let place = place_with_dead_cluster();
    let (ours, theirs) = UnixStream::pair().expect("two sockets");
    let mut command = place.command("chaos-health");
    command
        .args(["-n", "shop"])
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null());
    // It ends, or the test does not.
    let ended = command.status().expect("the tool can be started");
    assert_eq!(ended.code(), Some(3));
    drop(ours);
}

#[test]
fn an_input_that_stays_silent_is_told_and_can_still_come() {
    let place = place_with_backup();
    let mut child = place
        .command("chaos-backup-check")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool can be started");
    let stderr = child.stderr.take().expect("it is piped");
    let mut said = String::new();
    let mut stderr = BufReader::new(stderr);
    stderr.read_line(&mut said).expect("it can be read");
    assert!(
        said.contains("waiting for records on standard input"),
        "{said}"
    );
    // The end of the input: there was no stream.
    drop(child.stdin.take());
    stderr.read_to_string(&mut said).expect("it can be read");
    assert!(child.wait().expect("it ends").success(), "{said}");
}
