//! Programs in a pod, with their output as it comes.

use std::time::Duration;

use chaos_common::cluster::{Cluster, Executed, ReadError, exit_code};
use futures::future::join;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use super::remote::Taker;

/// A program that gives not one byte for so long has stopped.
const STALL: Duration = Duration::from_secs(120);
/// Time that a connection to the pod may take.
const CONNECT: Duration = Duration::from_secs(30);
/// Bytes that are on their way in this process at most.
const BUFFER: usize = 256 << 10;
/// The most that is kept of what a program says besides.
const MAX_SAID: usize = 64 << 10;

/// A container of a certain pod.
#[derive(Clone)]
pub(crate) struct Container {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
    pub(crate) pod: String,
    /// The pod's first one if `None`.
    pub(crate) name: Option<String>,
}

impl Container {
    /// The container of a pod: the one of that name, or its first one.
    pub(crate) fn of(cluster: Cluster, pod: &Pod, container: Option<&str>) -> Container {
        let first = || {
            pod.spec
                .as_ref()?
                .containers
                .first()
                .map(|container| container.name.clone())
        };
        Container {
            cluster,
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            pod: pod.metadata.name.clone().unwrap_or_default(),
            name: container.map(str::to_owned).or_else(first),
        }
    }

    fn what(&self, command: &[&str]) -> String {
        format!(
            "run {} in pod {} of namespace {}",
            command.first().unwrap_or(&""),
            self.pod,
            self.namespace
        )
    }

    /// Starts a program.
    pub(crate) async fn start(
        &self,
        command: &[&str],
        stdin: bool,
    ) -> Result<AttachedProcess, ReadError> {
        let what = self.what(command);
        let api: Api<Pod> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let mut params = AttachParams::default()
            .stdin(stdin)
            .stdout(true)
            .stderr(true);
        params = params
            .max_stdout_buf_size(BUFFER)
            .max_stdin_buf_size(BUFFER);
        params.container.clone_from(&self.name);
        match timeout(
            CONNECT,
            api.exec(&self.pod, command.iter().copied(), &params),
        )
        .await
        {
            Ok(started) => started.map_err(|error| ReadError::from_kube(what, &error)),
            Err(_) => Err(ReadError::timeout(
                what,
                format!("no connection in {} s", CONNECT.as_secs()),
            )),
        }
    }

    /// Runs a program that ends soon and says little.
    pub(crate) async fn run(
        &self,
        command: &[&str],
        limit: Duration,
        max: usize,
    ) -> Result<Executed, ReadError> {
        let mut stdout = Vec::new();
        let done = self.take(command, Output::Kept(&mut stdout, max));
        let late = |_| {
            ReadError::timeout(
                self.what(command),
                format!("it did not end in {} s", limit.as_secs()),
            )
        };
        let (code, stderr) = timeout(limit, done).await.map_err(late)??;
        Ok(Executed {
            code,
            stdout,
            stderr,
        })
    }

    /// Runs a program and takes what it writes; gives its exit status and what it said besides.
    pub(crate) async fn take(
        &self,
        command: &[&str],
        mut output: Output<'_>,
    ) -> Result<(i32, String), ReadError> {
        let what = self.what(command);
        let mut process = self.start(command, false).await?;
        let status = process.take_status();
        let (Some(mut stdout), Some(stderr)) = (process.stdout(), process.stderr()) else {
            return Err(ReadError::other(what, "its output is not connected"));
        };
        let read = async {
            let mut buffer = vec![0; BUFFER];
            loop {
                match timeout(STALL, stdout.read(&mut buffer)).await {
                    Ok(Ok(0)) => return Ok(()),
                    Ok(Ok(read)) => output.take(&buffer[..read]).await?,
                    Ok(Err(error)) => return Err(error.to_string()),
                    Err(_) => return Err(format!("it gave no byte for {} s", STALL.as_secs())),
                }
            }
        };
        let (read, said) = join(read, hear(stderr)).await;
        read.map_err(|why| ReadError::other(&what, why))?;
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        let code = exit_code(status).map_err(|why| ReadError::other(&what, why.to_string()))?;
        Ok((code, said))
    }
}

/// What becomes of what a program writes.
pub(crate) enum Output<'o> {
    /// It is kept, if it has no more bytes than that.
    Kept(&'o mut Vec<u8>, usize),
    /// It is handed on, and counted.
    Given(&'o Taker, &'o mut u64),
}

impl Output<'_> {
    async fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Output::Kept(kept, max) => {
                kept.extend(bytes);
                if kept.len() > *max {
                    Err(format!("it wrote more than {max} bytes"))
                } else {
                    Ok(())
                }
            }
            Output::Given(taker, count) => {
                **count += bytes.len() as u64;
                if taker.give(bytes.to_vec()).await {
                    Ok(())
                } else {
                    Err("nobody reads it any more".to_owned())
                }
            }
        }
    }
}

/// What a program says, as far as it is kept; the rest is heard all the same, so that it can go on.
pub(crate) async fn hear(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut said = Vec::new();
    let mut buffer = vec![0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        said.extend(&buffer[..read.min(MAX_SAID.saturating_sub(said.len()))]);
    }
    String::from_utf8_lossy(&said).trim().to_owned()
}
