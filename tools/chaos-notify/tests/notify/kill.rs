//! `chaos-notify` killed at each of its writes: nothing is lost, and what may arrive twice says so.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::http::{Answer, Server};
use crate::smtp::{self, Manner};
use crate::{Bench, plan};

const AGAIN: &str = "This message may have reached you before.";

/// The system calls after which something is different for others.
const WRITES: &str = "write,writev,sendto,sendmsg,fsync,rename,unlink,openat,mkdir,connect";

/// Runs the tool and kills it at its `n`th write; whether it came so far.
fn killed_at(bench: &Bench, n: usize) -> bool {
    let tool = env!("CARGO_BIN_EXE_chaos-notify");
    let inject = format!("inject={WRITES}:signal=SIGKILL:when={n}");
    let mut command = Command::new("/usr/bin/strace");
    command
        .args([
            "-f",
            "-qqq",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={WRITES}"),
            "-e",
            &inject,
        ])
        .args([tool, "scheduled"])
        .env_clear()
        .env("HOME", bench.home.path())
        .current_dir(bench.home.path())
        .stdin(Stdio::from(
            std::fs::File::open(bench.home.path().join("stream")).expect("it was written"),
        ))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    !command.status().expect("strace is there").success()
}

#[test]
fn killed_at_any_write_nothing_is_lost() {
    if !Path::new("/usr/bin/strace").exists() {
        eprintln!("SKIPPED: strace is not installed (scripts/setup.sh installs it)");
        return;
    }
    let (mut kills, mut twice, mut lost) = (0, 0, 0);
    for n in 1.. {
        assert!(n < 1000, "it never comes to its end");
        let hook = Server::new(&[Answer::Status("200 OK")]);
        let mail = smtp::Server::new(Manner::Good);
        let bench = Bench::new(&format!(
            "[notify.slack]\nwebhook = {{ file = \"hook\" }}\n[notify.mail]\nhost = \"127.0.0.1\"\nport = {}\n\
             tls = \"none\"\nhello = \"a.b\"\nfrom = \"a@b.c\"\nteam = [\"team@company.com\"]\n",
            mail.port
        ));
        bench.file("hook", &hook.url());
        bench.file("stream", &plan("pod-failure", "search"));
        let killed = killed_at(&bench, n);
        // It is started again, as a person would; then what is left is flushed.
        bench.feed(&["scheduled"], &plan("pod-failure", "search"));
        bench.start(&["flush"]);
        for arrived in [hook.requests(), mail.messages()] {
            match &arrived[..] {
                [] => lost += 1,
                [_] => {}
                [_, more @ ..] => {
                    twice += more.len();
                    assert!(
                        more.iter().all(|m| m.contains(AGAIN)),
                        "unmarked at {n}: {more:?}"
                    );
                }
            }
        }
        assert!(
            bench.outbox().iter().all(|name| name.ends_with(".part")),
            "{n}"
        );
        if !killed {
            break;
        }
        kills += 1;
    }
    println!("killed {kills} times: {lost} lost, {twice} marked as perhaps twice, none unmarked");
    assert_eq!(lost, 0);
    assert!(kills >= 100, "{kills}");
}
