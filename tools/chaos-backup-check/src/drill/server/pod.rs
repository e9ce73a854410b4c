//! A PostgreSQL in a pod of the cluster, for as long as a drill takes, with data in a folder of its
//! own and no way in but its socket: it is nobody's live database.

use std::time::Duration;

use chaos_common::retry::until;

use super::local::SUPERUSER;
use crate::context::Context;
use crate::drill::error::DrillError;
use crate::drill::feed::Feed;
use crate::drill::process::{Ran, talk};
use crate::own_pod::{OwnPod, OwnPodError, Wanted};

pub(super) use crate::own_pod::FOLDER;

/// The longest that a server may take to answer.
const ANSWER: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);
const LIMIT: Duration = Duration::from_secs(30);
const MAX_ANSWER: usize = 64 << 10;
/// Nobody's user in most images.
const NOBODY: i64 = 65534;
const IMAGE: &str =
    "name an image with PostgreSQL's server and client as drill.image, such as postgres:17";

/// Where images have PostgreSQL's programs: in PATH, or where Debian puts those of each version.
const PATH: &str = concat!(
    "PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin /usr/local/pgsql/bin 2>/dev/null",
    " | sort -V | tail -n 1); export PATH LC_ALL=C;"
);
/// A status above it is 128 and the number of the signal that ended a program.
const BY_SIGNAL: i32 = 128;
/// What the pod does.
const SERVE: &str = include_str!("serve_in_pod.sh");

/// The server; gone when this is dropped.
pub(super) struct PodServer(OwnPod);

impl PodServer {
    pub(super) async fn start(
        image: &str,
        preload: &str,
        context: &Context,
    ) -> Result<PodServer, DrillError> {
        let wanted = Wanted {
            purpose: "drill",
            image: image.to_owned(),
            script: format!("{PATH} U={SUPERUSER}\n{SERVE}"),
            env: vec![("PRELOAD", preload.to_owned())],
            user: NOBODY,
            claim: None,
        };
        let pod = OwnPod::start(&context.access, &context.namespace, wanted).await;
        let server = PodServer(pod.map_err(|error| no_pod(&error))?);
        server.answers().await?;
        Ok(server)
    }

    /// For people.
    pub(super) fn label(&self) -> String {
        self.0.label()
    }

    async fn answers(&self) -> Result<(), DrillError> {
        let answer = until(tokio::time::Instant::now() + ANSWER, PAUSE, || self.ask());
        let Err(why) = answer.await else {
            return Ok(());
        };
        let (label, log) = (self.label(), self.0.log().await);
        Err(DrillError::unknown(format!(
            "the PostgreSQL in {label} does not answer: {}; its log ends with: {log}",
            why.trim()
        )))
    }

    /// Asks something once; the error is for people.
    async fn ask(&self) -> Result<(), String> {
        let (args, nothing) = (["-XAtqc", "SELECT 1"], Feed::bytes(Vec::new()));
        match self.run("psql", "postgres", &args, nothing).await {
            Ok(ran) if ran.success => Ok(()),
            Ok(ran) => Err(ran.said),
            Err(error) => Err(error.message),
        }
    }

    pub(super) async fn version(&self) -> Result<String, DrillError> {
        let line = format!("{PATH} exec pg_restore --version");
        let exec = self.0.container.exec(&["sh", "-c", &line]);
        let ran = exec.output(LIMIT, MAX_ANSWER).await;
        let ran = ran.map_err(|error| no_pod(&error.into()))?;
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let version = said
            .split_whitespace()
            .skip_while(|word| *word != "(PostgreSQL)")
            .nth(1);
        version
            .filter(|_| ran.code == 0)
            .map(str::to_owned)
            .ok_or_else(|| {
                DrillError::unknown(format!("the image has no pg_restore: {said}{}", ran.stderr))
                    .hint(IMAGE)
            })
    }

    /// Runs one of PostgreSQL's programs.
    pub(super) async fn run(
        &self,
        program: &str,
        database: &str,
        args: &[&str],
        feed: Feed,
    ) -> Result<Ran, DrillError> {
        let line = format!(
            "{PATH} export PGHOST={FOLDER} PGUSER={SUPERUSER} PGDATABASE=\"$1\"; shift; exec \"$@\""
        );
        let command = [&["sh", "-c", line.as_str(), "sh", database, program], args].concat();
        self.fed(&command, feed).await
    }

    /// Writes a file.
    pub(super) async fn put(
        &self,
        folder: &str,
        name: &str,
        file: Feed,
    ) -> Result<(u64, String), DrillError> {
        let line = "mkdir -p \"$1\" && cat >\"$1/$2\"";
        let ran = self
            .fed(&["sh", "-c", line, "sh", folder, name], file)
            .await?;
        if ran.success {
            return Ok(ran.read);
        }
        let place = std::path::PathBuf::from(format!("{folder} of {}", self.label()));
        Err(
            DrillError::of_postgres("the dump cannot be put into the pod", &ran.said, &place)
                .not_its_fault(),
        )
    }

    async fn fed(&self, command: &[&str], feed: Feed) -> Result<Ran, DrillError> {
        let started = self.0.container.exec(command).with_stdin().start().await;
        let mut process = started.map_err(|error| no_pod(&error.into()))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (process.stdin(), process.stdout(), process.stderr())
        else {
            return Err(DrillError::unknown("the pod is not connected"));
        };
        let lost = |why: String| {
            let label = self.label();
            DrillError::disconnected(format!("the connection to {label} is lost: {why}")).hint(
                "was its pod evicted, or out of memory? Kubernetes before 1.30 cannot be \
                    told where what it is fed ends",
            )
        };
        let (read, answer, said) = talk(feed, stdin, stdout, stderr).await;
        let status = process.wait().await;
        let read = read?;
        let code = status.map_err(|why| lost(why.to_string()))?;
        if code > BY_SIGNAL {
            let signal = code - BY_SIGNAL;
            return Err(lost(format!(
                "a program there was ended by signal {signal}"
            )));
        }
        let text = |heard: std::io::Result<String>| heard.map_err(|error| lost(error.to_string()));
        Ok(Ran {
            success: code == 0,
            answer: text(answer)?,
            said: text(said)?,
            read,
        })
    }
}

/// Why there is no server.
fn no_pod(error: &OwnPodError) -> DrillError {
    let unknown = DrillError::unknown(error.to_string());
    match (error, error.hint()) {
        (OwnPodError::Ended { .. }, _) => unknown.hint(IMAGE),
        (_, Some(hint)) => unknown.hint(hint),
        (_, None) => unknown,
    }
}
