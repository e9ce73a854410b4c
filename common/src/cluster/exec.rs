//! One way to run a command in a pod: to its end with a bounded output, or with its streams.
//!
//! ```no_run
//! # async fn example(cluster: &chaos_common::cluster::Cluster, pod: &k8s_openapi::api::core::v1::Pod)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use chaos_common::cluster::exec::ExecTarget;
//! use std::time::Duration;
//!
//! let target = ExecTarget::of(cluster, pod);
//! let done = target.exec(&["date"]).output(Duration::from_secs(5), 64).await?;
//! assert_eq!(done.code, 0);
//!
//! let mut process = target.exec(&["cat"]).with_stdin().start().await?;
//! let (stdin, stdout) = (process.stdin(), process.stdout());
//! let code = process.wait().await?;
//! # Ok(())
//! # }
//! ```

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use futures::FutureExt;
use futures::future::{BoxFuture, FusedFuture, OptionFuture, Shared, try_join};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{Api, AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::{Cluster, ReadError};

/// Time that the connection to the pod may take.
const CONNECT: Duration = Duration::from_secs(30);
/// Bytes of each stream that wait in this process at most; kube's own default is 1 KiB.
const BUFFER: usize = 256 << 10;
/// The most of standard error that is kept, in bytes.
const MAX_STDERR: usize = 64 << 10;

/// A container of a pod, to run commands in.
#[derive(Clone, Debug)]
pub struct ExecTarget {
    /// The cluster that the pod runs in.
    pub cluster: Cluster,
    /// Namespace of the pod.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container; the API server takes the pod's default one if `None`.
    pub container: Option<String>,
}

impl ExecTarget {
    /// The container of a pod that kubectl takes: see [`default_container`].
    pub fn of(cluster: &Cluster, pod: &Pod) -> ExecTarget {
        ExecTarget {
            cluster: cluster.clone(),
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            pod: pod.metadata.name.clone().unwrap_or_default(),
            container: default_container(pod).map(str::to_owned),
        }
    }

    /// The same pod's container of this name.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> ExecTarget {
        self.container = Some(name.into());
        self
    }

    /// A command, program first. Nothing is sent before it is started.
    pub fn exec<S: AsRef<str>>(&self, command: &[S]) -> Exec<'_> {
        let command = command.iter().map(|word| word.as_ref().to_owned());
        Exec {
            target: self,
            command: command.collect(),
            stdin: false,
            stdout: true,
        }
    }
}

/// The container that kubectl takes where none is named: the one that the pod's annotation
/// `kubectl.kubernetes.io/default-container` names, else the first.
pub fn default_container(pod: &Pod) -> Option<&str> {
    let containers = &pod.spec.as_ref()?.containers;
    let annotations = pod.metadata.annotations.as_ref();
    let named = annotations.and_then(|all| all.get("kubectl.kubernetes.io/default-container"));
    let named = containers.iter().find(|one| Some(&one.name) == named);
    named.or(containers.first()).map(|one| one.name.as_str())
}

/// A command that has not been started.
#[derive(Clone, Debug)]
#[must_use = "a command does nothing before it is started"]
pub struct Exec<'t> {
    target: &'t ExecTarget,
    command: Vec<String>,
    stdin: bool,
    stdout: bool,
}

impl Exec<'_> {
    /// Connects standard input: [`ExecProcess::stdin`].
    pub fn with_stdin(mut self) -> Self {
        self.stdin = true;
        self
    }

    /// Leaves standard output unconnected, for a command that tells all on standard error.
    pub fn without_stdout(mut self) -> Self {
        self.stdout = false;
        self
    }

    /// The attempt, as errors name it: `run PROGRAM in pod POD of namespace NAMESPACE`.
    pub fn attempt(&self) -> String {
        let program = self.command.first().map_or("", String::as_str);
        let ExecTarget { namespace, pod, .. } = self.target;
        format!("run {program} in pod {pod} of namespace {namespace}")
    }

    /// Starts it.
    ///
    /// # Errors
    /// The pod can't be reached, or not in half a minute; we may not.
    pub async fn start(self) -> Result<ExecProcess, ReadError> {
        let attempt = self.attempt();
        let target = self.target;
        let api: Api<Pod> = Api::namespaced(target.cluster.client.clone(), &target.namespace);
        let mut params = AttachParams::default()
            .stdin(self.stdin)
            .stdout(self.stdout)
            .stderr(true)
            .max_stdin_buf_size(BUFFER)
            .max_stdout_buf_size(BUFFER);
        params.container.clone_from(&target.container);
        let connect = api.exec(&target.pod, self.command, &params);
        match timeout(CONNECT, connect).await {
            Ok(Ok(process)) => Ok(ExecProcess::new(attempt, process)),
            Ok(Err(error)) => Err(ReadError::from_kube(attempt, &error)),
            Err(_) => {
                let why = format!("no connection in {} s", CONNECT.as_secs());
                Err(ReadError::timeout(attempt, why))
            }
        }
    }

    /// Runs it to its end, without an input. Of standard error the first 64 KiB are kept.
    ///
    /// # Errors
    /// It could not be started, did not end within `limit`, or wrote more than `max_stdout` bytes.
    /// A status other than 0 is no error.
    pub async fn output(self, limit: Duration, max_stdout: usize) -> Result<Executed, ReadError> {
        let attempt = self.attempt();
        let run = async { self.start().await?.output(max_stdout).await };
        timeout(limit, run).await.unwrap_or_else(|_| {
            let why = format!("it did not end in {} s", limit.as_secs());
            Err(ReadError::timeout(attempt, why))
        })
    }
}

/// A running command. It is cut off when this is dropped: what reads its input sees the end of it.
pub struct ExecProcess {
    attempt: String,
    /// `None` once its loss was looked into.
    process: Option<AttachedProcess>,
    ended: Ended,
}

impl fmt::Debug for ExecProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecProcess")
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl ExecProcess {
    fn new(attempt: String, mut process: AttachedProcess) -> ExecProcess {
        let status = OptionFuture::from(process.take_status());
        ExecProcess {
            attempt,
            process: Some(process),
            ended: status.map(Option::flatten).boxed().shared(),
        }
    }

    /// Its standard input; `None` where it was not asked for, or is taken already.
    pub fn stdin(&mut self) -> Option<impl AsyncWrite + Send + Unpin + use<>> {
        let stdin = self.process.as_mut()?.stdin()?;
        Some(ExecStream::new(stdin, &self.ended))
    }

    /// Its standard output; `None` where it is left unconnected, or is taken already. What is not
    /// read stops the command, and standard error with it.
    pub fn stdout(&mut self) -> Option<impl AsyncRead + Send + Unpin + use<>> {
        let stdout = self.process.as_mut()?.stdout()?;
        Some(ExecStream::new(stdout, &self.ended))
    }

    /// Its standard error; `None` if it is taken already.
    pub fn stderr(&mut self) -> Option<impl AsyncRead + Send + Unpin + use<>> {
        let stderr = self.process.as_mut()?.stderr()?;
        Some(ExecStream::new(stderr, &self.ended))
    }

    /// Waits for its exit status. Its outputs must be read meanwhile.
    ///
    /// # Errors
    /// It can't be known.
    pub async fn wait(&mut self) -> Result<i32, ExecFailure> {
        let status = self.ended.clone().await;
        if status.is_some() {
            return exit_code(status);
        }
        // What was sent and received for it knows why it ended.
        let why = match self.process.take() {
            Some(process) => process.join().await.err(),
            None => None,
        };
        Err(ExecFailure::ConnectionLost(
            why.map(|error| error.to_string()),
        ))
    }

    async fn output(mut self, max_stdout: usize) -> Result<Executed, ReadError> {
        let (stdout, stderr) = (self.stdout(), self.stderr());
        let stdout = read_bounded(stdout, max_stdout);
        let stderr = async {
            Ok(match stderr {
                Some(stderr) => read_capped(stderr, MAX_STDERR).await,
                None => String::new(),
            })
        };
        // Not `join`: a command that writes too much is not read to its end, so that it goes on,
        // and its standard error never ends either.
        let read = try_join(stdout, stderr).await;
        let (stdout, stderr) = read.map_err(|why| ReadError::other(&self.attempt, why))?;
        let code = self.wait().await;
        let code = code.map_err(|error| ReadError::other(&self.attempt, error.to_string()))?;
        Ok(Executed {
            code,
            stdout,
            stderr,
        })
    }
}

/// The last message of a command's connection; `None` if it broke before.
type Ended = Shared<BoxFuture<'static, Option<Status>>>;

/// A standard stream of a command. kube does not end its pipes when the connection breaks, and who
/// reads or writes them would wait for ever: here they end with the connection.
struct ExecStream<S> {
    stream: S,
    ended: Ended,
}

impl<S> ExecStream<S> {
    fn new(stream: S, ended: &Ended) -> ExecStream<S> {
        ExecStream {
            stream,
            ended: ended.clone(),
        }
    }

    /// Whether the connection has ended; otherwise the task is woken when it does.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        // A shared future must not be asked again after its end.
        self.ended.is_terminated() || self.ended.poll_unpin(context).is_ready()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ExecStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() || !self.is_over(context) {
            return read;
        }
        // All that came was in the pipe before the connection was known to have ended.
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => Poll::Ready(Ok(())),
            read @ Poll::Ready(_) => read,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ExecStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_pending() && self.is_over(context) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Reads to the end of what must not be longer than `max` bytes; says why that is impossible.
async fn read_bounded(
    input: Option<impl AsyncRead + Unpin>,
    max: usize,
) -> Result<Vec<u8>, String> {
    let mut kept = Vec::new();
    if let Some(input) = input {
        let read = input.take(max as u64 + 1).read_to_end(&mut kept).await;
        read.map_err(|error| error.to_string())?;
    }
    if kept.len() > max {
        return Err(format!("it wrote more than {max} bytes"));
    }
    Ok(kept)
}

/// What a command in a pod did.
#[derive(Clone, Debug)]
pub struct Executed {
    /// Its exit status.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, without white space at the ends.
    pub stderr: String,
}

/// Why a command in a pod has no exit status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecFailure {
    /// Whether the command goes on is not known. What ended the connection, where that is known:
    /// a server that closes it gives no reason.
    #[error("the connection ended before the command did{}", because(.0.as_deref()))]
    ConnectionLost(Option<String>),
    /// The container runtime could not run it: no such program, or the container is gone.
    #[error("{0}")]
    NotStarted(String),
}

fn because(why: Option<&str>) -> String {
    why.map_or(String::new(), |why| format!(": {why}"))
}

/// The exit status of a command in a pod, by the last message of the connection.
///
/// # Errors
/// There is no exit status.
pub fn exit_code(status: Option<Status>) -> Result<i32, ExecFailure> {
    let status = status.ok_or(ExecFailure::ConnectionLost(None))?;
    if status.status.as_deref() == Some("Success") {
        return Ok(0);
    }
    let causes = status.details.and_then(|details| details.causes);
    let mut causes = causes.unwrap_or_default().into_iter();
    let code = causes.find(|cause| cause.reason.as_deref() == Some("ExitCode"));
    code.and_then(|cause| cause.message?.parse().ok())
        .ok_or_else(|| ExecFailure::NotStarted(status.message.unwrap_or_default()))
}

/// Reads to the end, so that the writer never waits, and keeps the first `max` bytes, as text
/// without white space at the ends.
pub async fn read_capped(mut input: impl AsyncRead + Unpin, max: usize) -> String {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 4096];
    while let Ok(read @ 1..) = input.read(&mut buffer).await {
        let left = max.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..read.min(left)]);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn code(yaml: &str) -> Result<i32, ExecFailure> {
        exit_code(Some(serde_saphyr::from_str(yaml).expect("a Status")))
    }

    #[test]
    fn the_default_container_is_that_of_kubectl() {
        let of = |annotation: &str| {
            let pod: Pod = serde_saphyr::from_str(&format!(
                "{{metadata: {{annotations: {{kubectl.kubernetes.io/default-container: {annotation}}}}},
                   spec: {{containers: [{{name: side}}, {{name: main}}]}}}}"
            ))
            .expect("a pod");
            default_container(&pod).map(str::to_owned)
        };
        assert_eq!(of("main").as_deref(), Some("main"));
        assert_eq!(of("gone").as_deref(), Some("side"), "as kubectl does");
        assert_eq!(default_container(&Pod::default()), None);
    }

    #[test]
    fn a_command_that_ended_has_an_exit_status() {
        assert_eq!(code("{metadata: {}, status: Success}"), Ok(0));
        let failed = "
            status: Failure
            message: command terminated with exit code 7
            reason: NonZeroExitCode
            details: {causes: [{reason: ExitCode, message: '7'}]}";
        assert_eq!(code(failed), Ok(7));
    }

    #[test]
    fn a_command_that_never_ran_and_a_lost_connection_are_told_apart() {
        let missing = "{status: Failure, message: 'exec: \"curl\": not found', code: 500}";
        let not_started = ExecFailure::NotStarted("exec: \"curl\": not found".to_owned());
        assert_eq!(code(missing), Err(not_started));
        let lost = exit_code(None).expect_err("there is none");
        assert_eq!(lost, ExecFailure::ConnectionLost(None));
        let because = ExecFailure::ConnectionLost(Some("a broken pipe".to_owned()));
        assert_eq!(because.to_string(), format!("{lost}: a broken pipe"));
    }

    #[tokio::test(start_paused = true)]
    async fn streams_end_with_the_connection_and_lose_nothing_that_came() {
        // As kube does it: a half of the pipe is dropped, which does not end the other.
        let (stdout, mut from_pod) = tokio::io::simplex(64);
        let (to_pod, stdin) = tokio::io::simplex(4);
        let (broken, connection) = tokio::sync::oneshot::channel::<Status>();
        let ended = connection.map(Result::ok).boxed().shared();
        let mut stdout = ExecStream::new(stdout, &ended);
        let mut stdin = ExecStream::new(stdin, &ended);
        let reading = tokio::spawn(async move {
            let mut text = String::new();
            stdout.read_to_string(&mut text).await.map(|_| text)
        });
        let writing = tokio::spawn(async move { stdin.write_all(b"more than four").await });
        tokio::task::yield_now().await;
        from_pod.write_all(b"all of it").await.expect("it has room");
        drop((from_pod, to_pod, broken));
        let limit = Duration::from_secs(60);
        let text = timeout(limit, reading).await.expect("it ends");
        assert_eq!(text.expect("no panic").expect("readable"), "all of it");
        let written = timeout(limit, writing).await.expect("it ends");
        let error = written.expect("no panic").expect_err("nobody reads it");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn an_output_that_is_too_long_is_an_error() {
        assert_eq!(
            read_bounded(Some(&b"four"[..]), 4).await,
            Ok(b"four".to_vec())
        );
        let why = "it wrote more than 3 bytes".to_owned();
        assert_eq!(read_bounded(Some(&b"four"[..]), 3).await, Err(why));
        assert_eq!(read_bounded(None::<&[u8]>, 3).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn the_first_of_a_long_standard_error_is_kept() {
        let text = [vec![b' '; 2], vec![b'a'; 10_000]].concat();
        assert_eq!(read_capped(text.as_slice(), 12).await, "a".repeat(10));
        assert_eq!(read_capped(&b" no \n"[..], 100).await, "no");
    }
}
