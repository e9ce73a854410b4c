//! `chaos-notify` killed at each of its writes: nothing is lost, and what may arrive twice says so.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

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

/// How the servers behave while the tool is killed: what is tried again is written more often.
const WAYS: [(&[Answer], Manner); 5] = [
    (&[Answer::Status("200 OK")], Manner::PutsOffFirstRecipient),
    (&[Answer::Status("200 OK")], Manner::Good),
    (
        &[
            Answer::Status("429 Slow\r\nRetry-After: 0"),
            Answer::Status("200 OK"),
        ],
        Manner::PutsOffMessageOnce,
    ),
    (
        &[
            Answer::Status("503 Busy\r\nRetry-After: 0"),
            Answer::Status("408 Timeout"),
            Answer::Status("200 OK"),
        ],
        Manner::PutsOffFirstRecipient,
    ),
    (&[Answer::Status("200 OK")], Manner::DropsAtQuit),
];

/// What was counted.
#[derive(Debug, Default)]
struct Count {
    kills: usize,
    lost: usize,
    twice: usize,
}

/// How many share the writes of one way. Most of a kill is waiting for what is tried again.
const SHARES: usize = 3;

/// Kills the tool at this one of its writes and at every `SHARES`th after it.
fn sweep(answers: &[Answer], manner: Manner, first: usize) -> Count {
    let mut count = Count::default();
    for n in (first..).step_by(SHARES) {
        assert!(n < 1000, "it never comes to its end");
        let hook = Server::new(answers);
        let mail = smtp::Server::new(manner);
        let bench = Bench::new(&format!(
            "[notify.slack]\nwebhook = {{ file = \"hook\" }}\n[notify.mail]\nhost = \"127.0.0.1\"\nport = {}\n\
             tls = \"none\"\nhello = \"a.b\"\nfrom = \"a@b.c\"\nteam = [\"team@company.com\"]\n",
            mail.port
        ));
        bench.file("hook", &hook.url());
        bench.file("stream", &plan("pod-failure", "search"));
        let killed = killed_at(&bench, n);
        // The first requests are those that the server puts off.
        let hooks = || {
            let (mut all, refused) = (hook.requests(), answers.len() - 1);
            all.split_off(refused.min(all.len()))
        };
        // What was in the spool by then needs nothing but a flush.
        let waited = bench.outbox();
        bench.start(&["flush"]);
        for (channel, arrived) in [(".slack", hooks()), (".mail", mail.messages())] {
            let waited = waited.iter().any(|name| name.ends_with(channel));
            if waited && arrived.is_empty() {
                count.lost += 1;
            }
        }
        // Then it is started again, as a person would.
        bench.feed(&["scheduled"], &plan("pod-failure", "search"));
        bench.start(&["flush"]);
        for arrived in [hooks(), mail.messages()] {
            match &arrived[..] {
                [] => count.lost += 1,
                [_] => {}
                [_, more @ ..] => {
                    count.twice += more.len();
                    let marked = more.iter().all(|message| message.contains(AGAIN));
                    assert!(marked, "unmarked at {n}: {more:?}");
                }
            }
        }
        let whole = |name: &String| !name.contains(".part");
        assert!(
            !bench.outbox().iter().any(whole),
            "{n}: {:?}",
            bench.outbox()
        );
        if !killed {
            break;
        }
        count.kills += 1;
    }
    count
}

#[test]
fn killed_at_any_write_nothing_is_lost() {
    if !Path::new("/usr/bin/strace").exists() {
        crate::needs::skipped("strace is not installed (scripts/setup.sh installs it)");
        return;
    }
    let counts: Vec<Count> = thread::scope(|scope| {
        let shares = WAYS
            .iter()
            .flat_map(|way| (1..=SHARES).map(move |first| (*way, first)));
        let sweeps: Vec<_> = shares
            .map(|((answers, manner), first)| scope.spawn(move || sweep(answers, manner, first)))
            .collect();
        let ended = sweeps.into_iter().map(thread::ScopedJoinHandle::join);
        ended.map(|count| count.expect("no sweep fails")).collect()
    });
    let of = |what: fn(&Count) -> usize| counts.iter().map(what).sum::<usize>();
    let (kills, lost, twice) = (of(|c| c.kills), of(|c| c.lost), of(|c| c.twice));
    println!("killed {kills} times: {lost} lost, {twice} marked as perhaps twice, none unmarked");
    assert_eq!(lost, 0);
    assert!(kills >= 200, "{kills}");
}
