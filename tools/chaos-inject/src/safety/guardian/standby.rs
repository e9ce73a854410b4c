//! The guardian's side: waits until the tool says that it is not needed, and undoes the fault if
//! the tool ends or hangs before.

use std::io::{BufRead, Write};

use chaos_common::cluster::{Access, Cluster};
use chaos_common::exit::Exit;
use chaos_common::output::printable_lines;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep_until, timeout};

use crate::safety::claims::{self, Losses};
use crate::safety::guardian::background::Background;
use crate::safety::guardian::protocol::{
    HANGS_AFTER, HEARTBEAT, Orders, ToGuardian, ToTool, from_line, to_line,
};
use crate::safety::intent::Intent;
use crate::safety::journal::Journal;
use crate::safety::journal_entry::{Entry, GuardianState};
use crate::safety::leases::RENEWAL;
use crate::safety::rollback::{RolledBack, release_after_crash, roll_back};

/// Where the answers to the tool go.
pub struct Answers(Box<dyn Write + Send>);

impl Answers {
    fn send(&mut self, message: ToTool) -> std::io::Result<()> {
        self.0.write_all(to_line(&message).as_bytes())?;
        self.0.flush()
    }
}

/// Runs the guardian's process: orders and heartbeat on stdin, answers on stdout.
pub async fn run(access: &Access) -> Exit {
    ignore_signals();
    match Cluster::connect_as(access, "chaos-inject-guardian").await {
        Ok(cluster) => stand_by(cluster, stdin_lines(), Answers(Box::new(std::io::stdout()))).await,
        Err(error) => {
            say(&error.to_string());
            Exit::Usage
        }
    }
}

/// Why the guardian takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The tool's end of the pipe is closed.
    Ended,
    /// The heartbeat stopped.
    Hangs,
}

impl Cause {
    fn message(self) -> &'static str {
        match self {
            Cause::Ended => "ended without undoing its fault",
            Cause::Hangs => "hangs",
        }
    }
}

/// Guards one run.
pub async fn stand_by(
    cluster: Cluster,
    mut lines: mpsc::UnboundedReceiver<String>,
    mut answers: Answers,
) -> Exit {
    let first = lines.recv().await;
    let Some(orders) = first.as_deref().and_then(from_line::<Orders>) else {
        return Exit::Usage;
    };
    // The connection is made now, not when it is needed: then the cluster may be slow.
    let version = cluster.read("reach the API server", || {
        cluster.client.apiserver_version()
    });
    if let Err(error) = version.await {
        say(&error.to_string());
        return Exit::Unknown;
    }
    if answers.send(ToTool::Ready).is_err() {
        return Exit::Unknown;
    }
    let renewing = tokio::spawn(renew(cluster.clone(), orders.intent.clone()));
    let cause = watch(&mut lines, &mut answers).await;
    renewing.abort();
    match cause {
        None => Exit::Pass,
        Some(cause) => take_over(&cluster, &orders, cause, answers).await,
    }
}

/// Waits for the end of the run, and shows the tool meanwhile that somebody waits; `None` if there is
/// nothing to undo.
async fn watch(
    lines: &mut mpsc::UnboundedReceiver<String>,
    answers: &mut Answers,
) -> Option<Cause> {
    let mut heard = Instant::now();
    let mut beats = interval(HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // A tool that does not read any more is known by its silence: the pipe holds hours of
            // this. One that is gone is known by the end of its lines.
            _ = beats.tick() => drop(answers.send(ToTool::Alive)),
            line = lines.recv() => match line {
                Some(line) if from_line(&line) == Some(ToGuardian::Done) => return None,
                Some(_) => heard = Instant::now(),
                None => return Some(Cause::Ended),
            },
            () = sleep_until(heard + HANGS_AFTER) => return Some(Cause::Hangs),
        }
    }
}

/// Shows in the cluster that the run lives. Nothing depends on one renewal; whoever needs to know
/// looks for several seconds.
async fn renew(cluster: Cluster, intent: Intent) {
    let mut ticks = interval_at(Instant::now() + RENEWAL / 2, RENEWAL);
    loop {
        ticks.tick().await;
        let _ = timeout(RENEWAL, intent.renew(&cluster)).await;
    }
}

async fn take_over(cluster: &Cluster, orders: &Orders, cause: Cause, mut answers: Answers) -> Exit {
    let start = Instant::now();
    let intent = &orders.intent;
    let journal = journal(orders);
    let messages = Background::start(|text: String| say(&text));
    journal.send(Entry::guardian(GuardianState::TakesOver));
    messages.send(format!(
        "run {} {}; undoing it now",
        intent.run,
        cause.message()
    ));
    let refused = |why: &str| messages.send(why.to_owned());
    let undone = roll_back(cluster, intent, true, &refused).await;
    let undone_ms = start.elapsed().as_millis();
    for text in undone.actions.iter().chain(&undone.notes) {
        messages.send(text.clone());
    }
    let RolledBack {
        actions,
        notes,
        failed,
        ..
    } = undone.clone();
    journal.send(Entry::Guardian {
        guardian: GuardianState::Undone,
        actions,
        notes,
        failed,
    });
    let exit = if undone.failed.is_empty() {
        // Mostly nobody is left to read it.
        let _ = answers.send(ToTool::Undone);
        match release_after_crash(cluster, intent).await {
            Ok(()) => {
                messages.send(format!(
                    "the fault is undone after {undone_ms} ms; nothing of run {} is left",
                    intent.run
                ));
                let Losses { lost, unread } = claims::losses(cluster, &intent.claims).await;
                let notes = [lost, unread].concat();
                for text in &notes {
                    messages.send(text.clone());
                }
                journal.send(Entry::Guardian {
                    guardian: GuardianState::Restored,
                    actions: Vec::new(),
                    notes,
                    failed: Vec::new(),
                });
                Exit::Aborted
            }
            Err(left) => {
                messages.send(format!(
                    "the fault is undone after {undone_ms} ms; \
                     the target is still locked: {left}"
                ));
                Exit::NotRestored
            }
        }
    } else {
        for text in &undone.failed {
            messages.send(format!("NOT RESTORED: {text}"));
        }
        messages.send("a person is needed now; type: chaos-inject recover".to_owned());
        Exit::NotRestored
    };
    tokio::join!(journal.finish(), messages.finish());
    exit
}

/// The run's journal, written in the background: a full disk must not keep the fault in place.
fn journal(orders: &Orders) -> Background<Entry> {
    let path = orders.journal.clone();
    let mut open = None;
    Background::start(move |entry: Entry| {
        let journal = open.get_or_insert_with(|| Journal::reopen(&path));
        if let Ok(journal) = journal {
            let is_end = matches!(
                entry,
                Entry::Guardian {
                    guardian: GuardianState::Restored,
                    ..
                }
            );
            if is_end {
                journal.free_reserve();
            }
            let _ = journal.write(&entry);
        }
    })
}

fn say(text: &str) {
    // Nobody may be there to read it.
    let text = printable_lines(text);
    let _ = writeln!(std::io::stderr(), "chaos-inject guardian: {text}");
}

/// The lines of standard input, until it ends. On a thread: a read of stdin can't be cancelled.
fn stdin_lines() -> mpsc::UnboundedReceiver<String> {
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

/// The lines of a test's pipe, until it is closed.
#[cfg(test)]
pub fn lines_of(pipe: tokio::io::DuplexStream) -> mpsc::UnboundedReceiver<String> {
    use tokio::io::AsyncBufReadExt;
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut lines = tokio::io::BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
impl Answers {
    /// Into a test's pipe.
    pub fn to_test(pipe: tokio::io::DuplexStream) -> Answers {
        struct Pipe(mpsc::UnboundedSender<Vec<u8>>);
        impl Write for Pipe {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let closed = |_| std::io::ErrorKind::BrokenPipe;
                self.0.send(bytes.to_vec()).map_err(closed)?;
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (sender, mut receiver) = mpsc::unbounded_channel::<Vec<u8>>();
        tokio::spawn(async move {
            use tokio::io::AsyncWriteExt;
            let mut pipe = pipe;
            while let Some(bytes) = receiver.recv().await {
                if pipe.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        Answers(Box::new(Pipe(sender)))
    }
}
