//! The tool's side: starts the guardian, shows it that the tool lives, and hears of its death.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chaos_common::cluster::Access;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{interval, timeout};

use crate::abort::AbortSignal;
use crate::safety::guardian::COMMAND;
use crate::safety::guardian::protocol::{
    HANGS_AFTER, HEARTBEAT, Orders, ToGuardian, ToTool, from_line, to_line,
};
use crate::safety::intent::Intent;

/// Time for the guardian to be ready: it connects to the API server first.
const START: Duration = Duration::from_secs(20);
/// Time for a guardian that is not needed any more to end.
const END: Duration = Duration::from_secs(2);

/// Why there is no guardian.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process can't be started.
    #[error("cannot start the guardian, which undoes the fault if this process dies")]
    Spawn(#[source] io::Error),
    /// Its pipe broke.
    #[error("the guardian does not answer")]
    Pipe(#[source] io::Error),
    /// It ended; why, it has written to stderr.
    #[error("the guardian ended at once; its message is above")]
    Ended,
    /// It was not ready in time.
    #[error("the guardian is not ready after {} s", START.as_secs())]
    Late,
}

/// How a guardian is started.
#[derive(Clone, Debug)]
pub enum Launcher {
    /// As a process of its own, which reaches the cluster like this one.
    Process(Access),
    /// Within the test, against the test's cluster.
    #[cfg(test)]
    Task(chaos_common::cluster::Cluster),
}

type Input = Box<dyn AsyncWrite + Unpin>;
pub(super) type Output = Box<dyn AsyncRead + Send + Unpin>;

impl Launcher {
    /// Starts it. Gives the process, and both pipes.
    fn launch(&self) -> io::Result<(Option<Child>, Input, Output)> {
        match self {
            Launcher::Process(access) => spawn_process(access),
            #[cfg(test)]
            Launcher::Task(cluster) => {
                let (input, theirs) = tokio::io::duplex(1 << 16);
                let (output, answers) = tokio::io::duplex(1 << 16);
                tokio::spawn(super::standby::stand_by(
                    cluster.clone(),
                    super::standby::lines_of(theirs),
                    super::standby::Answers::to_test(answers),
                ));
                Ok((None, Box::new(input), Box::new(output)))
            }
        }
    }
}

/// This program. Linux knows it even where its file was replaced meanwhile, as by an update.
fn own_program() -> io::Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && running.exists() {
        return Ok(running);
    }
    std::env::current_exe()
}

fn spawn_process(access: &Access) -> io::Result<(Option<Child>, Input, Output)> {
    let mut command = Command::new(own_program()?);
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
    if let Some(user) = &access.user {
        command.arg("--as").arg(user);
    }
    for group in &access.groups {
        command.arg("--as-group").arg(group);
    }
    // A group of its own: what a terminal sends to this one does not reach it.
    command.process_group(0);
    let mut child = command.spawn()?;
    let input = child.stdin.take().expect("it is piped");
    let output = child.stdout.take().expect("it is piped");
    Ok((Some(child), Box::new(input), Box::new(output)))
}

/// A guardian that is ready.
#[derive(Debug)]
pub struct Guardian {
    pub(super) child: Option<Child>,
    /// Ends the heartbeat with [`ToGuardian::Done`].
    pub(super) done: oneshot::Sender<()>,
    pub(super) heartbeat: JoinHandle<()>,
    pub(super) listener: JoinHandle<()>,
}

impl Guardian {
    /// Starts it and waits until it is ready. When it dies later, the experiment is aborted.
    ///
    /// # Errors
    /// It can't be started, or does not get ready.
    pub async fn start(
        launcher: &Launcher,
        intent: &Intent,
        journal: &Path,
        abort: &AbortSignal,
    ) -> Result<Guardian, StartError> {
        let (child, mut input, output) = launcher.launch().map_err(StartError::Spawn)?;
        let orders = Orders {
            intent: intent.clone(),
            journal: journal.to_owned(),
        };
        let mut answers = BufReader::new(output).lines();
        let ready = async {
            input.write_all(to_line(&orders).as_bytes()).await?;
            answers.next_line().await
        };
        match timeout(START, ready).await {
            Err(_) => return Err(StartError::Late),
            Ok(Err(error)) => return Err(StartError::Pipe(error)),
            Ok(Ok(line)) if line.as_deref().and_then(from_line) == Some(ToTool::Ready) => {}
            Ok(Ok(_)) => return Err(StartError::Ended),
        }
        let (done, told) = oneshot::channel();
        Ok(Guardian {
            child,
            done,
            // On the thread of the experiment itself: when that is held up, the guardian has to
            // hear nothing.
            heartbeat: spawn_local(beat(input, told)),
            listener: tokio::spawn(listen(answers, abort.clone())),
        })
    }

    /// Ends it: there is nothing left to guard.
    pub async fn dismiss(self) {
        self.listener.abort();
        // It may have died already: then it has nothing to do either.
        let _ = self.done.send(());
        let _ = timeout(END, self.heartbeat).await;
        if let Some(mut child) = self.child
            && timeout(END, child.wait()).await.is_err()
        {
            // It stands still. There is nothing left to undo, and whoever waits for the end of our
            // stderr, which is also its own, would wait for it.
            let _ = child.start_kill();
            let _ = timeout(END, child.wait()).await;
        }
    }

    /// Leaves the fault to it: this process ends without having undone it.
    pub fn leave(self) {
        self.listener.abort();
        self.heartbeat.abort();
    }
}

/// Aborts the experiment when the guardian has undone its fault, dies, or stands still: one that
/// does nothing guards nothing.
pub(super) async fn listen(mut answers: Lines<BufReader<Output>>, abort: AbortSignal) {
    loop {
        let mut line = timeout(HANGS_AFTER, answers.next_line()).await;
        if line.is_err() {
            // When this process has stood still itself, what the guardian said is there to be read.
            line = timeout(HEARTBEAT, answers.next_line()).await;
        }
        match line.map(|line| line.ok().flatten()) {
            Ok(Some(line)) if from_line(&line) == Some(ToTool::Undone) => abort.raise(format!(
                "this process had stood still for {} s, so its guardian undid the fault",
                HANGS_AFTER.as_secs()
            )),
            Ok(Some(_)) => {}
            Ok(None) => {
                abort.raise(
                    "the guardian died, so nobody would undo the fault if this process died too",
                );
                return;
            }
            Err(_) => {
                abort.raise(format!(
                    "the guardian has stood still for {} s, so nobody would undo the fault if \
                     this process died",
                    HANGS_AFTER.as_secs()
                ));
                return;
            }
        }
    }
}

/// Writes the heartbeat, until it is told that all is done.
async fn beat(mut pipe: Input, mut done: oneshot::Receiver<()>) {
    let mut ticks = interval(HEARTBEAT);
    loop {
        let message = tokio::select! {
            told = &mut done => match told {
                Ok(()) => ToGuardian::Done,
                // Nobody says that it is done: the pipe closes, and the fault is the guardian's.
                Err(_) => return,
            },
            _ = ticks.tick() => ToGuardian::Alive,
        };
        // The death of the guardian is for the listener to tell.
        let written = pipe.write_all(to_line(&message).as_bytes()).await;
        if written.is_err() || message == ToGuardian::Done {
            return;
        }
    }
}
