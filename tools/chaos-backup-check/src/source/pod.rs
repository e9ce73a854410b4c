//! A backup in a pod: looked at with `stat`, `readlink` and `find`, read with `cat`, and nothing
//! stored on the way.
//!
//! The end of the connection proves nothing. What `cat` gave is whole only if `cat` itself ended
//! well, and gave as many bytes as the file had.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::manifest;
use chaos_backup_check::formats::pg_dump::directory::Files;
use chaos_common::cluster::{
    Cluster, Executed, ReadError, ReadErrorKind, is_ready, label_selector, owner_uid,
};
use chaos_common::config::BackupKind;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use super::remote::{Taker, stream, wait};
use super::{Absent, Found, Neighbour, Source, State, base_name};
use crate::context::Context;
use crate::source::exec::{Container, Output};

/// Time that a look may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Bytes that a list of files may have.
const MAX_LIST: usize = 16 << 20;
/// What `stat` is asked for: mode, size, and what is another where the bytes may be others.
const FORMAT: &str = "%f %s %Y %Z %i %n";

/// Which container.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) container: Option<String>,
}

/// A file or folder in a pod.
#[derive(Clone)]
struct InPod {
    container: Container,
    /// Without symbolic links.
    path: String,
    folder: bool,
    /// How it was when it was found.
    size: u64,
}

/// What `stat` says of one file.
#[derive(Clone, Debug, PartialEq)]
struct Stat {
    mode: u32,
    size: u64,
    modified: SystemTime,
    version: String,
    name: String,
}

/// What keeps a look from being made: the place, or the file.
#[derive(Debug)]
enum Look {
    Cannot(ReadError),
    Said(String),
}

/// Finds a pod and the file in it.
pub(super) fn find(
    at: At,
    path: &Path,
    kind: BackupKind,
    context: &Context,
) -> Result<Found, Absent> {
    let Some(path) = path.to_str().map(str::to_owned) else {
        return Err(Absent::unknown(
            "is a path that is not UTF-8, which no pod can be asked for",
        ));
    };
    let (access, namespace) = (context.access.clone(), context.namespace.clone());
    wait(async move {
        let found = async {
            let cluster = Cluster::connect(&access).await?;
            let pod = pod(&cluster, &namespace, &at).await?;
            Ok(Container::of(cluster, &pod, at.container.as_deref()))
        };
        let container = found.await.map_err(|error: ReadError| cannot(&error))?;
        look(container, path, kind).await
    })
}

async fn look(container: Container, path: String, kind: BackupKind) -> Result<Found, Absent> {
    let own = stat(&container, &path, false)
        .await
        .map_err(|why| absent(why, None))?;
    let (mut real, mut stat_of, mut resolved) = (path.clone(), own.clone(), None);
    if own.is(LINK) {
        let target = run(&container, &["readlink", "--", &path])
            .await
            .map_err(|why| absent(why, None))?;
        stat_of = stat(&container, &path, true)
            .await
            .map_err(|why| absent(why, Some(&target)))?;
        real = run(&container, &["readlink", "-f", "--", &path])
            .await
            .map_err(|why| absent(why, Some(&target)))?;
        resolved = Some(real.clone());
    }
    let folder = stat_of.is(FOLDER) && kind == BackupKind::Postgres;
    if !stat_of.is(FILE) && !folder {
        return Err(Absent::fail(format!("is {}, not a file", stat_of.word())));
    }
    let name = base_name(&real).to_owned();
    let mut in_pod = InPod {
        container,
        path: real,
        folder,
        size: stat_of.size,
    };
    let before = if folder {
        in_pod.look().await.map_err(|why| absent(why, None))?
    } else {
        stat_of.state()
    };
    in_pod.size = before.size;
    let noun = if folder { "a folder" } else { "a file" };
    Ok(Found {
        source: Box::new(in_pod),
        noun,
        folder,
        before,
        resolved,
        name,
    })
}

/// A pod that can be asked: ready where there is a choice, running where it is named.
async fn pod(cluster: &Cluster, namespace: &str, at: &At) -> Result<Pod, ReadError> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let At { kind, name, .. } = at;
    let what = format!("find a pod of {kind}/{name} in namespace {namespace}");
    match kind.as_str() {
        "deployment" => cluster.ready_pod(namespace, name).await,
        "statefulset" => {
            let sets: Api<StatefulSet> = Api::namespaced(cluster.client.clone(), namespace);
            let set = cluster.read(&what, || sets.get(name)).await?;
            let selector = set
                .spec
                .map(|spec| label_selector(&spec.selector))
                .unwrap_or_default();
            let uid = set.metadata.uid;
            let mut pods = cluster
                .list(&pods, &ListParams::default().labels(&selector), &what)
                .await?;
            pods.retain(|pod| is_ready(pod) && uid.is_some() && owner_uid(pod) == uid.as_deref());
            pods.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
            pods.into_iter()
                .next()
                .ok_or_else(|| ReadError::other(&what, "none of its pods is ready"))
        }
        _ => {
            let pod = cluster.read(&what, || pods.get(name)).await?;
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.clone())
                .unwrap_or_default();
            if phase == "Running" {
                Ok(pod)
            } else {
                Err(ReadError::other(&what, format!("it is {phase}")))
            }
        }
    }
}

fn cannot(error: &ReadError) -> Absent {
    let hint = match error.kind {
        ReadErrorKind::NotFound => Some("is the pod of this backup named right? try kubectl get deployments,pods".to_owned()),
        ReadErrorKind::Forbidden => Some(
            "the Role needs get on the workload, list on pods and replicasets, and get and create on pods/exec; test it with kubectl auth can-i"
                .to_owned(),
        ),
        _ => error.next_step().map(str::to_owned),
    };
    let absent = Absent::unknown(format!("its pod cannot be asked: {error}"));
    match hint {
        Some(hint) => absent.hint(hint),
        None => absent,
    }
}

/// What it means that there was nothing to look at. `link` is what the path's symbolic link says,
/// if it is one.
fn absent(why: Look, link: Option<&str>) -> Absent {
    let said = match why {
        Look::Cannot(error) => return no_program(&error).unwrap_or_else(|| cannot(&error)),
        Look::Said(said) => said,
    };
    let gone = said.contains("No such file") || said.contains("Not a directory");
    match link {
        Some(link) if gone => {
            Absent::fail(format!("is a symbolic link to {link} that leads nowhere"))
        }
        Some(link) if said.contains("oo many") => Absent::fail(format!(
            "is a symbolic link to {link} that cannot be followed: {said}"
        )),
        None if gone => Absent::fail("does not exist in the pod"),
        _ => Absent::unknown(format!("cannot be looked at in the pod: {said}")),
    }
}

/// A container without the programs that are needed. Container runtimes have no status for that,
/// only words.
fn no_program(error: &ReadError) -> Option<Absent> {
    let text = error.to_string();
    let missing =
        text.contains("executable file not found") || text.contains("no such file or directory");
    missing.then(|| {
        Absent::unknown(format!("cannot be read there: {text}"))
            .hint("the container needs stat, readlink, find and cat; mount the volume into a pod that has them, and name that one")
    })
}

const FILE: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

impl Stat {
    fn parse(line: &str) -> Option<Stat> {
        let mut fields = line.splitn(6, ' ');
        let mode = u32::from_str_radix(fields.next()?, 16).ok()?;
        let size = fields.next()?.parse().ok()?;
        let (modified, changed, inode) = (fields.next()?, fields.next()?, fields.next()?);
        // busybox may print a fraction.
        let seconds: i64 = modified.split('.').next()?.parse().ok()?;
        let since = Duration::from_secs(seconds.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        let modified = if seconds < 0 {
            epoch.checked_sub(since)?
        } else {
            epoch.checked_add(since)?
        };
        Some(Stat {
            mode,
            size,
            modified,
            version: format!("{changed} {inode}"),
            name: fields.next()?.to_owned(),
        })
    }

    fn is(&self, kind: u32) -> bool {
        self.mode & 0o170_000 == kind
    }

    fn word(&self) -> &'static str {
        match self.mode & 0o170_000 {
            FOLDER => "a folder",
            0o010_000 => "a FIFO",
            0o020_000 | 0o060_000 => "a device",
            0o140_000 => "a socket",
            _ => "something else",
        }
    }

    fn state(&self) -> State {
        State {
            size: self.size,
            modified: Some(self.modified),
            version: self.version.clone(),
        }
    }
}

/// Runs a program and gives its one answer.
async fn run(container: &Container, command: &[&str]) -> Result<String, Look> {
    let ran = container
        .run(command, LIMIT, MAX_LIST)
        .await
        .map_err(Look::Cannot)?;
    said(ran, command[0])
}

fn said(ran: Executed, program: &str) -> Result<String, Look> {
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes).map_err(|_| Look::Said(format!("{program} does not say UTF-8")))
    };
    match ran.code {
        0 => text(ran.stdout).map(|text| text.strip_suffix('\n').unwrap_or(&text).to_owned()),
        126 | 127 => Err(Look::Said(format!(
            "the container has no {program}: {}",
            ran.stderr
        ))),
        code if ran.stderr.is_empty() => {
            Err(Look::Said(format!("{program} ends with status {code}")))
        }
        _ => Err(Look::Said(
            ran.stderr.lines().next().unwrap_or_default().to_owned(),
        )),
    }
}

async fn stat(container: &Container, path: &str, follow: bool) -> Result<Stat, Look> {
    let follow: &[&str] = if follow { &["-L"] } else { &[] };
    let command = [&["stat"], follow, &["-c", FORMAT, "--", path]].concat();
    let line = run(container, &command).await?;
    Stat::parse(&line).ok_or_else(|| Look::Said(format!("stat says {line:?}")))
}

/// What is in a folder. `follow` says whether links in it are followed.
async fn list(container: &Container, folder: &str, follow: bool) -> Result<Vec<Stat>, Look> {
    // A path that ends in a slash leads into a folder, be it a link or not.
    let folder = format!("{}/", folder.trim_end_matches('/'));
    let follow: &[&str] = if follow { &["-L"] } else { &[] };
    let by_stat = [&["-exec", "stat"], follow, &["-c", FORMAT, "--", "{}", "+"]].concat();
    let command = [
        &["find", folder.as_str(), "-mindepth", "1", "-maxdepth", "1"],
        &by_stat[..],
    ]
    .concat();
    let lines = run(container, &command).await?;
    let name = |line: &str| {
        let stat = Stat::parse(line)?;
        Some(Stat {
            name: base_name(&stat.name).to_owned(),
            ..stat
        })
    };
    let lines = lines
        .lines()
        .map(|line| name(line).ok_or_else(|| Look::Said(format!("stat says {line:?}"))));
    lines.collect()
}

impl InPod {
    /// How it is now.
    async fn look(&self) -> Result<State, Look> {
        if !self.folder {
            return stat(&self.container, &self.path, true)
                .await
                .map(|stat| stat.state());
        }
        let mut state = State {
            size: 0,
            modified: None,
            version: String::new(),
        };
        let mut files = list(&self.container, &self.path, true).await?;
        files.sort_by(|one, other| one.name.cmp(&other.name));
        for file in files {
            state.size += file.size;
            state.modified = state.modified.max(Some(file.modified));
            // Writing to memory cannot fail.
            let _ = write!(state.version, "{} {};", file.name, file.version);
        }
        Ok(state)
    }

    fn manifest_path(&self) -> String {
        format!("{}.manifest.json", self.path.trim_end_matches('/'))
    }

    fn read(&self, path: String, size: u64) -> Box<dyn Read + Send> {
        let container = self.container.clone();
        Box::new(stream(move |taker| async move {
            cat(&container, &path, size, &taker).await
        }))
    }
}

/// Streams a file of `size` bytes.
async fn cat(container: &Container, path: &str, size: u64, taker: &Taker) -> io::Result<()> {
    let mut read = 0;
    let fed = container
        .take(&["cat", "--", path], Output::Given(taker, &mut read))
        .await;
    let (code, said) =
        fed.map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error.to_string()))?;
    let whole = |why: String| Err(io::Error::other(why));
    match code {
        0 if read == size => Ok(()),
        0 => whole(format!(
            "cat gave {read} bytes of a file of {size}: it was changed, or the connection lost some"
        )),
        code => whole(format!("cat ended with status {code}: {said}")),
    }
}

impl Files for InPod {
    fn list(&self) -> Result<Vec<(String, bool)>, FormatError> {
        let (container, path) = (self.container.clone(), self.path.clone());
        let files = wait(async move { list(&container, &path, true).await });
        let files = files
            .map_err(|why| FormatError::CannotTell(format!("cannot be listed: {}", why.words())))?;
        Ok(files
            .into_iter()
            .map(|file| (file.name.clone(), file.is(FILE)))
            .collect())
    }

    fn open_in(&self, name: &str) -> Result<(Box<dyn Read + Send>, u64), FormatError> {
        let path = format!("{}/{name}", self.path.trim_end_matches('/'));
        let (container, of) = (self.container.clone(), path.clone());
        let stat = wait(async move { stat(&container, &of, true).await });
        let stat = stat
            .map_err(|why| FormatError::CannotTell(format!("cannot be opened: {}", why.words())))?;
        Ok((self.read(path, stat.size), stat.size))
    }
}

impl Source for InPod {
    fn state(&self) -> Result<State, String> {
        let own = self.clone();
        wait(async move { own.look().await }).map_err(Look::words)
    }

    fn open(&self) -> Result<Box<dyn Read + Send>, FormatError> {
        Ok(self.read(self.path.clone(), self.size))
    }

    fn manifest(&self) -> (String, Result<Option<Vec<u8>>, String>) {
        let (container, path) = (self.container.clone(), self.manifest_path());
        let of = path.clone();
        let ran = wait(async move {
            let max = usize::try_from(manifest::MAX_FILE).unwrap_or(usize::MAX);
            match stat(&container, &of, true).await {
                Err(Look::Said(said)) if said.contains("No such file") => return Ok(None),
                Err(why) => return Err(why.words()),
                Ok(stat) if !stat.is(FILE) => return Err("is not a file".to_owned()),
                Ok(_) => {}
            }
            let ran = container
                .run(&["cat", "--", &of], LIMIT, max)
                .await
                .map_err(|error| error.to_string())?;
            let Executed {
                code,
                stdout,
                stderr,
            } = ran;
            if code == 0 {
                Ok(Some(stdout))
            } else {
                Err(format!("cannot be read: {stderr}"))
            }
        });
        (path, ran)
    }

    fn neighbours(&self) -> Vec<Neighbour> {
        let folder = self
            .path
            .trim_end_matches('/')
            .rsplit_once('/')
            .map_or("/", |(folder, _)| folder)
            .to_owned();
        let container = self.container.clone();
        let files = wait(async move { list(&container, &folder, false).await });
        let files = files
            .unwrap_or_default()
            .into_iter()
            .filter(|file| file.is(FILE));
        files
            .map(|file| Neighbour {
                name: file.name,
                modified: file.modified,
                size: file.size,
            })
            .collect()
    }

    fn seal(&self, _: &[u8]) -> Result<(), String> {
        Err("nothing is written into a pod".to_owned())
    }
}

impl Look {
    fn words(self) -> String {
        match self {
            Look::Cannot(error) => error.to_string(),
            Look::Said(said) => said,
        }
    }
}

#[cfg(test)]
mod tests {
    use chaos_common::record::Status;

    use super::*;

    #[test]
    fn what_stat_says_is_read() {
        let stat =
            Stat::parse("81a4 18833 1795363200 1795363201 42 /backup/a b.dump").expect("a line");
        assert!(
            stat.is(FILE) && stat.size == 18_833 && stat.name == "/backup/a b.dump",
            "{stat:?}"
        );
        assert_eq!(
            stat.modified,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_363_200)
        );
        assert_eq!(stat.version, "1795363201 42");
        assert!(Stat::parse("a1ff 9 1 1 7 x").expect("a line").is(LINK));
        assert_eq!(
            Stat::parse("11a4 0 1 1 7 x").expect("a line").word(),
            "a FIFO"
        );
        for wrong in ["", "81a4", "zz 1 1 1 1 x", "81a4 1 1 1 1"] {
            assert_eq!(Stat::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_from_what_cannot_be_seen() {
        let of = |said: &str, link| absent(Look::Said(said.to_owned()), link).status;
        let none = "stat: cannot statx '/b/x': No such file or directory";
        assert_eq!(of(none, None), Status::Fail);
        assert_eq!(of(none, Some("gone.dump")), Status::Fail);
        assert_eq!(
            of(
                "stat: can't stat 'x': Too many levels of symbolic links",
                Some("x")
            ),
            Status::Fail
        );
        assert_eq!(
            of("stat: cannot statx '/b/x': Permission denied", None),
            Status::Unknown
        );
        assert_eq!(of("the container has no stat: ", None), Status::Unknown);
    }
}
