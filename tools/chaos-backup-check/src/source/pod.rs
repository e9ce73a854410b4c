//! A backup in a pod: looked at with `stat`, `readlink` and `find`, read with `cat`, and nothing
//! stored on the way.
//!
//! The end of the connection proves nothing. What `cat` gave is whole only if `cat` itself ended
//! well, and gave as many bytes as the file had.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::manifest::MAX_FILE;
use chaos_backup_check::formats::pg_dump::directory::Files;
use chaos_common::cluster::exec::{ExecTarget, read_capped};
use chaos_common::cluster::{Cluster, Executed, ReadError, ReadErrorKind};
use futures::future::try_join;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use super::neighbours::{Neighbour, Row};
use super::pod_target::{PodTarget, pod};
use super::remote::{Taker, stream, wait};
use super::selection::Selection;
use super::stat::{FILE, FOLDER, FORMAT, LINK, Stat};
use super::{Absent, Source, SourceError, StoredBackup, StoredState, base_name, pod_folder};
use crate::context::Context;
use crate::program_messages::{self, Meaning};

/// Time that a look may take.
const LIMIT: Duration = Duration::from_secs(30);
/// A file that gives not one byte for so long has stopped.
const STALL: Duration = Duration::from_secs(120);
/// Bytes of a piece that is handed on.
const PIECE: usize = 256 << 10;
/// The most that is kept of what `cat` says besides, in bytes.
const MAX_SAID: usize = 64 << 10;
/// Bytes that a list of files may have.
const MAX_LIST: usize = 16 << 20;

/// A file or folder in a pod.
#[derive(Clone)]
struct InPod {
    container: ExecTarget,
    /// Without symbolic links.
    path: String,
    folder: bool,
    /// How it was when it was found.
    size: u64,
}

/// Finds a pod and the file in it.
pub(super) fn open(
    target: PodTarget,
    path: &Path,
    selection: Selection,
    context: &Context,
) -> Result<StoredBackup, Absent> {
    let (access, namespace) = (context.access.clone(), context.namespace.clone());
    let container = wait(async move {
        let cluster = Cluster::connect(&access).await?;
        let pod = pod(&cluster, &namespace, &target).await?;
        let first = ExecTarget::of(&cluster, &pod);
        Ok(match target.container {
            Some(name) => first.container(name),
            None => first,
        })
    });
    let container = container.map_err(|error: ReadError| cannot(&error))?;
    open_in(container, path, selection)
}

/// Finds the file in a container.
pub(super) fn open_in(
    container: ExecTarget,
    path: &Path,
    selection: Selection,
) -> Result<StoredBackup, Absent> {
    let Some(path) = path.to_str().map(str::to_owned) else {
        return Err(Absent::unknown(
            "is a path that is not UTF-8, which no pod can be asked for",
        ));
    };
    wait(async move { look(container, path, &selection).await })
}

/// What is at a path: the backup, or a folder with several.
async fn look(
    container: ExecTarget,
    path: String,
    selection: &Selection,
) -> Result<StoredBackup, Absent> {
    let found = follow(&container, &path).await?;
    if found.stat.is(FOLDER) {
        let files = list(&container, &found.path, false)
            .await
            .map_err(|why| absent(&why, None))?;
        if !(selection.dumps && pod_folder::is_dump(&files)) {
            let newest = pod_folder::newest(&container, &found.path, files, selection).await?;
            let found = follow(&container, &newest).await?;
            return opened(container, found, true).await;
        }
    }
    if selection.is_given() {
        return Err(Absent::unknown(
            "is one backup by itself, where include and exclude have nothing to choose",
        )
        .hint("name its folder as path, or leave out include and exclude"));
    }
    opened(container, found, false).await
}

/// Something in a pod, without symbolic links.
pub(super) struct Followed {
    pub(super) path: String,
    pub(super) stat: Stat,
    /// Whether a link led to it.
    link: bool,
}

/// Follows a symbolic link, if it is one.
pub(super) async fn follow(container: &ExecTarget, path: &str) -> Result<Followed, Absent> {
    let own = stat(container, path, false)
        .await
        .map_err(|why| absent(&why, None))?;
    if !own.is(LINK) {
        return Ok(Followed {
            path: path.to_owned(),
            stat: own,
            link: false,
        });
    }
    let target = run(container, &["readlink", "--", path])
        .await
        .map_err(|why| absent(&why, None))?;
    let lost = |why: SourceError| absent(&why, Some(&target));
    let stat = stat(container, path, true).await.map_err(lost)?;
    let real = run(container, &["readlink", "-f", "--", path]).await;
    Ok(Followed {
        path: real.map_err(lost)?,
        stat,
        link: true,
    })
}

/// The backup that was found. `chosen` says that it is the newest of several.
async fn opened(
    container: ExecTarget,
    found: Followed,
    chosen: bool,
) -> Result<StoredBackup, Absent> {
    let folder = found.stat.is(FOLDER);
    if !found.stat.is(FILE) && !folder {
        return Err(Absent::fail(format!(
            "is {}, not a file",
            found.stat.word()
        )));
    }
    let resolved = (found.link || chosen).then(|| found.path.clone());
    let name = base_name(&found.path).to_owned();
    let mut in_pod = InPod {
        container,
        path: found.path,
        folder,
        size: found.stat.size,
    };
    let before = if folder {
        in_pod.look().await.map_err(|why| absent(&why, None))?
    } else {
        found.stat.state()
    };
    in_pod.size = before.size;
    let noun = if folder { "a folder" } else { "a file" };
    Ok(StoredBackup {
        source: Box::new(in_pod),
        noun,
        folder,
        before,
        resolved,
        chosen,
        passed_over: None,
        name,
    })
}

fn cannot(error: &ReadError) -> Absent {
    let hint = match error.kind {
        ReadErrorKind::NotFound => Some(
            "is the pod of this backup named right? \
             try kubectl get deployments,pods"
                .to_owned(),
        ),
        ReadErrorKind::Forbidden => Some(
            "the Role needs get on the workload, list on pods and replicasets, and get and create \
             on pods/exec; test it with kubectl auth can-i"
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
pub(super) fn absent(why: &SourceError, link: Option<&str>) -> Absent {
    if let SourceError::Cluster(error) = why {
        return no_program(error).unwrap_or_else(|| cannot(error));
    }
    let said = why.to_string();
    let meaning = program_messages::of_file_program(&said);
    let gone = meaning == Some(Meaning::NoSuchFile);
    match link {
        Some(link) if gone => {
            Absent::fail(format!("is a symbolic link to {link} that leads nowhere"))
        }
        Some(link) if meaning == Some(Meaning::LinkLoop) => Absent::fail(format!(
            "is a symbolic link to {link} that cannot be followed: {said}"
        )),
        None if gone => Absent::fail("does not exist in the pod"),
        _ => Absent::unknown(format!("cannot be looked at in the pod: {said}")),
    }
}

/// A container without the programs that are needed. ExecTarget runtimes have no status for that,
/// only words.
fn no_program(error: &ReadError) -> Option<Absent> {
    let text = error.to_string();
    program_messages::of_container_runtime(&text).map(|_| {
        Absent::unknown(format!("cannot be read there: {text}")).hint(
            "the container needs stat, readlink, find and cat; name a pod that has them, or the \
             volume's claim as pod = \"claim/NAME\"",
        )
    })
}

/// Runs a program and gives its one answer.
async fn run(container: &ExecTarget, command: &[&str]) -> Result<String, SourceError> {
    let ran = container.exec(command).output(LIMIT, MAX_LIST).await?;
    said(ran, command[0])
}

fn said(ran: Executed, program: &str) -> Result<String, SourceError> {
    let text = |bytes: Vec<u8>| {
        String::from_utf8(bytes)
            .map_err(|_| SourceError::Program(format!("{program} does not say UTF-8")))
    };
    match ran.code {
        0 => text(ran.stdout).map(|text| text.strip_suffix('\n').unwrap_or(&text).to_owned()),
        126 | 127 => Err(SourceError::Program(format!(
            "the container has no {program}: {}",
            ran.stderr
        ))),
        code if ran.stderr.is_empty() => Err(SourceError::Program(format!(
            "{program} ends with status {code}"
        ))),
        _ => Err(SourceError::Program(
            ran.stderr.lines().next().unwrap_or_default().to_owned(),
        )),
    }
}

async fn stat(container: &ExecTarget, path: &str, follow: bool) -> Result<Stat, SourceError> {
    let follow: &[&str] = if follow { &["-L"] } else { &[] };
    let command = [&["stat"], follow, &["-c", FORMAT, "--", path]].concat();
    let line = run(container, &command).await?;
    Stat::parse(&line).ok_or_else(|| SourceError::Program(format!("stat says {line:?}")))
}

/// What is in a folder. `follow` says whether links in it are followed.
pub(super) async fn list(
    container: &ExecTarget,
    folder: &str,
    follow: bool,
) -> Result<Vec<Stat>, SourceError> {
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
        .map(|line| name(line).ok_or_else(|| SourceError::Program(format!("stat says {line:?}"))));
    lines.collect()
}

impl InPod {
    /// How it is now.
    async fn look(&self) -> Result<StoredState, SourceError> {
        if !self.folder {
            return stat(&self.container, &self.path, true)
                .await
                .map(|stat| stat.state());
        }
        let mut state = StoredState::default();
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
async fn cat(container: &ExecTarget, path: &str, size: u64, taker: &Taker) -> io::Result<()> {
    let exec = container.exec(&["cat", "--", path]);
    let attempt = exec.attempt();
    let lost = |why: &dyn std::fmt::Display| {
        let why = format!("cannot {attempt}: {why}");
        io::Error::new(io::ErrorKind::ConnectionAborted, why)
    };
    let started = exec.start().await;
    let mut process = started
        .map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error.to_string()))?;
    let (Some(stdout), Some(stderr)) = (process.stdout(), process.stderr()) else {
        return Err(lost(&"its output is not connected"));
    };
    let said = async { Ok(read_capped(stderr, MAX_SAID).await) };
    // A read that fails is the end: what cat says besides may never end then.
    let (read, said) = try_join(give(stdout, taker), said)
        .await
        .map_err(|error: io::Error| lost(&error))?;
    match process.wait().await.map_err(|error| lost(&error))? {
        0 if read == size => Ok(()),
        0 => Err(io::Error::other(format!(
            "cat gave {read} bytes of a file of {size}: \
             it was changed, or the connection lost some"
        ))),
        code => Err(io::Error::other(format!(
            "cat ended with status {code}: {said}"
        ))),
    }
}

/// Hands on what comes, and counts it.
async fn give(mut stdout: impl AsyncRead + Unpin, taker: &Taker) -> io::Result<u64> {
    let (mut buffer, mut count) = (vec![0; PIECE], 0);
    loop {
        let Ok(read) = timeout(STALL, stdout.read(&mut buffer)).await else {
            let why = format!("it gave no byte for {} s", STALL.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        };
        let bytes = &buffer[..read?];
        if bytes.is_empty() {
            return Ok(count);
        }
        count += bytes.len() as u64;
        if !taker.give(bytes.to_vec()).await {
            return Err(io::Error::other("nobody reads it any more"));
        }
    }
}

/// The text of a manifest; `None` if there is none.
async fn read_manifest(container: &ExecTarget, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
    match stat(container, path, true).await {
        Err(SourceError::Program(said))
            if program_messages::of_file_program(&said) == Some(Meaning::NoSuchFile) =>
        {
            return Ok(None);
        }
        Err(why) => return Err(why),
        Ok(stat) if !stat.is(FILE) => return Err(SourceError::NotAFile),
        Ok(_) => {}
    }
    let max = usize::try_from(MAX_FILE).unwrap_or(usize::MAX);
    let ran = container
        .exec(&["cat", "--", path])
        .output(LIMIT, max)
        .await?;
    if ran.code == 0 {
        Ok(Some(ran.stdout))
    } else {
        Err(SourceError::Program(ran.stderr))
    }
}

impl Files for InPod {
    fn list(&self) -> Result<Vec<(String, bool)>, FormatError> {
        let (container, path) = (self.container.clone(), self.path.clone());
        let files = wait(async move { list(&container, &path, true).await });
        let files =
            files.map_err(|why| FormatError::CannotTell(format!("cannot be listed: {why}")))?;
        Ok(files
            .into_iter()
            .map(|file| (file.name.clone(), file.is(FILE)))
            .collect())
    }

    fn open_in(&self, name: &str) -> Result<(Box<dyn Read + Send>, u64), FormatError> {
        let path = format!("{}/{name}", self.path.trim_end_matches('/'));
        let (container, of) = (self.container.clone(), path.clone());
        let stat = wait(async move { stat(&container, &of, true).await });
        let stat =
            stat.map_err(|why| FormatError::CannotTell(format!("cannot be opened: {why}")))?;
        Ok((self.read(path, stat.size), stat.size))
    }
}

impl Source for InPod {
    fn state(&self) -> Result<StoredState, SourceError> {
        let own = self.clone();
        wait(async move { own.look().await })
    }

    fn open(&self) -> Result<Box<dyn Read + Send>, FormatError> {
        Ok(self.read(self.path.clone(), self.size))
    }

    fn manifest_name(&self) -> String {
        self.manifest_path()
    }

    fn manifest(&self) -> Result<Option<Vec<u8>>, SourceError> {
        let (container, path) = (self.container.clone(), self.manifest_path());
        wait(async move { read_manifest(&container, &path).await })
    }

    fn neighbours(&self, mut row: Row) -> Row {
        let folder = self
            .path
            .trim_end_matches('/')
            .rsplit_once('/')
            .map_or("/", |(folder, _)| folder)
            .to_owned();
        let container = self.container.clone();
        let files = wait(async move { list(&container, &folder, false).await });
        let files = files.unwrap_or_default().into_iter();
        for file in files.filter(|file| file.is(FILE)) {
            row.add(Neighbour {
                name: file.name,
                modified: file.modified,
                size: file.size,
            });
        }
        row
    }

    fn identity(&self) -> Option<String> {
        // stat tells whole seconds, in which a file may change twice.
        None
    }

    fn seal(&self, _: &[u8]) -> Result<(), SourceError> {
        Err(SourceError::PodIsReadOnly)
    }
}

#[cfg(test)]
mod tests {
    use chaos_common::record::Status;

    use super::*;

    #[test]
    fn what_is_not_there_is_told_from_what_cannot_be_seen() {
        let of = |said: &str, link| absent(&SourceError::Program(said.to_owned()), link).status;
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
