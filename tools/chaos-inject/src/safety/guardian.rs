//! The guardian: a second process that stands by while a fault is on. The tool holds the writing
//! end of a pipe that the guardian reads; when the tool ends, however that comes about, the kernel
//! closes the pipe, and the guardian takes the fault back at once. A tool that lives but does
//! nothing (Ctrl-Z, a debugger) falls silent on the pipe, and is not waited for either. In the
//! other direction, the tool reads a pipe that closes when the guardian dies.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chaos_common::cluster::{Access, Cluster};
use chaos_common::exit::Exit;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, interval, interval_at, sleep_until, timeout};

use crate::abort::AbortSignal;
use crate::safety::intent::Intent;
use crate::safety::journal::Journal;
use crate::safety::leases::RENEWAL;
use crate::safety::rollback::{RolledBack, release_after_crash, roll_back};

/// The hidden subcommand by which the tool starts itself once more.
pub const COMMAND: &str = "guardian";
/// Time for the guardian to be ready: it connects to the API server first.
const START: Duration = Duration::from_secs(20);
/// Time for a guardian that is not needed any more to end, and for its own last words.
const END: Duration = Duration::from_secs(2);
/// What the guardian says when it stands by.
const READY: &str = "ready";
/// What the tool says when the guardian is not needed any more.
const DONE: &str = "done";
/// What the tool says every second besides.
const ALIVE: &str = "alive";
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A tool that has said nothing for so long hangs, or was stopped.
const SILENT: Duration = Duration::from_secs(10);
/// What the guardian says when it has taken the fault back from a tool that lives.
const UNDONE: &str = "undone";

/// What the guardian has to know.
#[derive(Debug, Serialize, Deserialize)]
struct Orders {
    intent: Intent,
    journal: PathBuf,
}

/// The tool's side.
#[derive(Debug)]
pub struct Guardian {
    child: Child,
    /// Ends the heartbeat with the word that all is done.
    done: oneshot::Sender<()>,
    heartbeat: JoinHandle<()>,
    watcher: JoinHandle<()>,
}

impl Guardian {
    /// Starts it and waits until it stands by. When it dies later, that is an alarm.
    ///
    /// # Errors
    /// It can't be started, or does not come to stand by.
    pub async fn start(
        intent: &Intent,
        journal: &Path,
        access: &Access,
        alarm: &AbortSignal,
    ) -> Result<Guardian, String> {
        let failed = |why: String| {
            format!("the guardian, which undoes the fault if this process dies, {why}")
        };
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("chaos-inject")
            .arg(COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(context) = &access.context {
            command.arg("--context").arg(context);
        }
        if let Some(path) = &access.kubeconfig {
            command.arg("--kubeconfig").arg(path);
        }
        // A group of its own: what a terminal sends to this one does not reach it.
        command.process_group(0);
        let mut child = command
            .spawn()
            .map_err(|error| failed(format!("can't be started: {error}")))?;
        let (Some(mut pipe), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("has no pipes".to_owned()));
        };
        let orders = Orders {
            intent: intent.clone(),
            journal: journal.to_owned(),
        };
        let mut line = serde_json::to_string(&orders).expect("orders are JSON");
        line.push('\n');
        let mut answers = BufReader::new(answers).lines();
        let ready = async {
            pipe.write_all(line.as_bytes())
                .await
                .map_err(|error| error.to_string())?;
            match answers.next_line().await {
                Ok(Some(line)) if line == READY => Ok(()),
                Ok(_) => Err("ended at once; what it said is above".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        };
        timeout(START, ready)
            .await
            .unwrap_or_else(|_| Err(format!("did not come to stand by in {} s", START.as_secs())))
            .map_err(failed)?;
        let alarm = alarm.clone();
        let watcher = tokio::spawn(async move {
            while let Ok(Some(line)) = answers.next_line().await {
                if line == UNDONE {
                    let silent = SILENT.as_secs();
                    alarm
                        .raise(format!("this process had stood still for {silent} s, so its guardian undid the fault"));
                }
            }
            alarm.raise(
                "the guardian died, so nobody would undo the fault if this process died too",
            );
        });
        let (done, told) = oneshot::channel();
        // On the thread of the experiment itself: when that is held up, the guardian is to hear of
        // it.
        Ok(Guardian {
            child,
            done,
            heartbeat: spawn_local(beat(pipe, told)),
            watcher,
        })
    }

    /// Ends it: there is nothing left to guard.
    pub async fn dismiss(mut self) {
        self.watcher.abort();
        // It may have died already: then it has nothing to do either.
        let _ = self.done.send(());
        let _ = timeout(END, self.heartbeat).await;
        let _ = timeout(END, self.child.wait()).await;
    }

    /// Leaves the fault to it: this process ends without having undone it.
    pub fn leave(self) {
        self.watcher.abort();
        self.heartbeat.abort();
    }
}

/// Tells the guardian every second that this process lives, until it is told that all is done.
async fn beat(mut pipe: ChildStdin, mut done: oneshot::Receiver<()>) {
    let mut ticks = interval(HEARTBEAT);
    loop {
        let (word, last) = tokio::select! {
            told = &mut done => match told {
                Ok(()) => (DONE, true),
                // Nobody says that it is done: the pipe closes, and the fault is the guardian's.
                Err(_) => return,
            },
            _ = ticks.tick() => (ALIVE, false),
        };
        // A guardian that died is somebody else's alarm.
        if pipe
            .write_all(format!("{word}\n").as_bytes())
            .await
            .is_err()
            || last
        {
            return;
        }
    }
}

/// The guardian's side: stands by until the tool says that it is not needed, or ends.
pub async fn stand_by(access: &Access) -> Exit {
    ignore_signals();
    let mut lines = lines();
    let Some(orders) = lines
        .recv()
        .await
        .and_then(|line| serde_json::from_str::<Orders>(&line).ok())
    else {
        return Exit::Usage;
    };
    let cluster = match Cluster::connect_as(access, "chaos-inject-guardian").await {
        Ok(cluster) => cluster,
        Err(error) => {
            say(&error.to_string());
            return Exit::Usage;
        }
    };
    // The connection is made now, not when it is needed.
    if let Err(error) = cluster
        .read("reach the API server", || {
            cluster.client.apiserver_version()
        })
        .await
    {
        say(&error.to_string());
        return Exit::Unknown;
    }
    if writeln!(std::io::stdout(), "{READY}").is_err() {
        return Exit::Unknown;
    }
    let renewing = tokio::spawn(renew(cluster.clone(), orders.intent.clone()));
    let mut heard = Instant::now();
    let why = loop {
        tokio::select! {
            line = lines.recv() => match line {
                Some(line) if line == DONE => return Exit::Pass,
                Some(_) => heard = Instant::now(),
                None => break "ended without undoing its fault",
            },
            () = sleep_until(heard + SILENT) => break "stands still",
        }
    };
    renewing.abort();
    take_over(&cluster, &orders, why).await
}

/// Says in the cluster that the run lives. Nothing depends on one renewal; whoever needs to know
/// looks for several seconds.
async fn renew(cluster: Cluster, intent: Intent) {
    let mut ticks = interval_at(Instant::now() + RENEWAL / 2, RENEWAL);
    loop {
        ticks.tick().await;
        let _ = timeout(RENEWAL, intent.renew(&cluster)).await;
    }
}

async fn take_over(cluster: &Cluster, orders: &Orders, why: &str) -> Exit {
    let start = Instant::now();
    let Orders { intent, journal } = orders;
    let journal = journal.clone();
    let mut open = None;
    let journal = Apart::start(move |what: serde_json::Value| {
        // A full disk must not keep the fault in place.
        let _ = open
            .get_or_insert_with(|| Journal::reopen(&journal))
            .as_mut()
            .map(|journal| journal.write(&what));
    });
    let words = Apart::start(|text: String| say(&text));
    journal.tell(json!({ "guardian": "takes over" }));
    words.tell(format!("run {} {why}; undoing it now", intent.run));
    let RolledBack {
        actions,
        notes,
        failed,
    } = roll_back(cluster, intent, true).await;
    let undone_ms = start.elapsed().as_millis();
    for text in actions.iter().chain(&notes) {
        words.tell(text.clone());
    }
    journal.tell(
        json!({ "guardian": "undone", "actions": actions, "notes": notes, "failed": failed }),
    );
    let exit = if failed.is_empty() {
        // Mostly nobody is left to read it.
        let _ = writeln!(std::io::stdout(), "{UNDONE}");
        match release_after_crash(cluster, intent).await {
            Ok(()) => {
                let run = &intent.run;
                words.tell(format!(
                    "the fault is undone, in {undone_ms} ms; nothing of run {run} is left"
                ));
                journal.tell(json!({ "guardian": "restored" }));
                Exit::Aborted
            }
            Err(left) => {
                words.tell(format!("the fault is undone in {undone_ms} ms, the lock is still in the cluster: {left}"));
                Exit::NotRestored
            }
        }
    } else {
        for text in &failed {
            words.tell(format!("NOT RESTORED: {text}"));
        }
        words.tell("a person is needed now; type: chaos-inject recover".to_owned());
        Exit::NotRestored
    };
    tokio::join!(journal.end(), words.end());
    exit
}

/// What is done on a thread of its own, in order, because it may be held up: the undo waits for no
/// disk and for no reader of stderr.
struct Apart<T> {
    orders: std::sync::mpsc::Sender<T>,
    over: oneshot::Receiver<()>,
}

impl<T: Send + 'static> Apart<T> {
    fn start(mut work: impl FnMut(T) + Send + 'static) -> Apart<T> {
        let (orders, received) = std::sync::mpsc::channel();
        let (ended, over) = oneshot::channel();
        std::thread::spawn(move || {
            received.into_iter().for_each(&mut work);
            // Whoever waited may have given up.
            let _ = ended.send(());
        });
        Apart { orders, over }
    }

    fn tell(&self, order: T) {
        // The thread ends when nothing can be told any more.
        let _ = self.orders.send(order);
    }

    /// Waits until all is done, but not for ever.
    async fn end(self) {
        drop(self.orders);
        let _ = timeout(END, self.over).await;
    }
}

fn say(text: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "chaos-inject guardian: {text}");
}

/// The lines of standard input, until it ends.
fn lines() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Whoever ends the tool politely sends the same to its guardian; the tool undoes the fault then,
/// and the guardian has to be there until it has.
fn ignore_signals() {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ] {
        let mut signals = signal(kind).expect("these signals can be listened to");
        tokio::spawn(async move { while signals.recv().await.is_some() {} });
    }
}
