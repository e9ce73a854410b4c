//! A probe that is a program: its exit status, and what it writes.

use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::{Finding, judge_json};
use crate::config::Probe;

/// The most of a program's output that is read, in bytes.
const MOST: u64 = 1 << 20;

/// The processes of a program, which leads a group of its own: all that it has started belongs to
/// it. They are ended when this is dropped, unless the program came to its end.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: &Child) -> Group {
        let pid = leader.id().and_then(|id| i32::try_from(id).ok());
        Group(pid.and_then(Pid::from_raw))
    }

    /// The program came to its end: its number may be somebody else's from now on.
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may have ended just now.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Runs the program to its end. It is killed, with all that it has started, when this is given up.
pub(super) async fn run(argv: &[String], probe: &Probe) -> Finding {
    let program = &argv[0];
    let mut command = Command::new(program);
    command
        .args(&argv[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Finding::Unknown(format!("{program} can't be run: {error}")),
    };
    let group = Group::of(&child);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    // Who has not been waited for keeps the number of its group: so that comes last.
    let (out, err) = tokio::join!(read(out), read(err));
    let status = child.wait().await;
    group.release();
    match status {
        Ok(status) => judge(status, (&out, &err), probe),
        Err(error) => Finding::Unknown(format!("{program} can't be waited for: {error}")),
    }
}

/// Reads as much as is kept, and throws the rest away, so that the program can go on writing.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        // What can't be read of a pipe is as good as not written.
        let _ = (&mut pipe).take(MOST).read_to_end(&mut kept).await;
        let _ = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await;
    }
    kept
}

fn judge(status: ExitStatus, (out, err): (&[u8], &[u8]), probe: &Probe) -> Finding {
    let said = || {
        let text = String::from_utf8_lossy(err);
        let line = text.lines().find(|line| !line.trim().is_empty());
        line.map(|line| format!(": {}", super::short(line.trim())))
            .unwrap_or_default()
    };
    match status.code() {
        Some(0) if probe.is.is_some() => judge_json(out, probe),
        Some(0) => Finding::Holds("exits with 0".into()),
        Some(code) => Finding::Fails(format!("exits with {code}{}", said())),
        None => Finding::Unknown(format!("was ended by a signal{}", said())),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::test_kill_process;

    use super::*;

    async fn ran(argv: &[&str], more: &str) -> Finding {
        let probe = format!("name = 'p'\ncommand = ['x']\n{more}");
        let probe: Probe = toml::from_str(&probe).expect("a probe");
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        run(&argv, &probe).await
    }

    #[tokio::test]
    async fn the_exit_status_and_the_output_count() {
        let sh = |script| ["sh", "-c", script];
        assert_eq!(
            ran(&sh("exit 0"), "").await,
            Finding::Holds("exits with 0".into())
        );
        assert_eq!(
            ran(&sh("echo >&2; echo no orders >&2; exit 3"), "").await,
            Finding::Fails("exits with 3: no orders".into())
        );
        let json = "value = '/n'\nis = '>= 2'";
        assert!(matches!(
            ran(&sh("echo '{\"n\": 2}'"), json).await,
            Finding::Holds(_)
        ));
        assert!(matches!(
            ran(&sh("echo '{\"n\": 2}'; exit 1"), json).await,
            Finding::Fails(_)
        ));
    }

    #[tokio::test]
    async fn what_a_program_has_started_is_ended_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let told = folder.path().join("pid");
        // The shell waits for a second one, which it would outlive if only the first were killed.
        let script = format!(
            "sh -c 'echo $$ >{0}.new; mv {0}.new {0}; sleep 600' & wait",
            told.display()
        );
        let given_up = async {
            while !told.exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let words = ["sh", "-c", &script];
        tokio::select! {
            finding = ran(&words, "") => panic!("it ended: {finding}"),
            () = given_up => {}
        }
        let pid = std::fs::read_to_string(&told).expect("it was written");
        let pid = Pid::from_raw(pid.trim().parse().expect("a number"));
        let pid = pid.expect("a process");
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        // Whoever inherits it may take its time to collect it; it does nothing more by then.
        while test_kill_process(pid).is_ok() && !is_collected_late(pid) {
            assert!(std::time::Instant::now() < deadline, "{pid:?} lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether a process has ended, and nobody has asked how.
    fn is_collected_late(pid: Pid) -> bool {
        let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    }

    #[tokio::test]
    async fn what_did_not_run_to_its_end_says_nothing() {
        let missing = ran(&["/nowhere/at/all"], "").await;
        assert!(matches!(missing, Finding::Unknown(_)), "{missing}");
        let killed = ran(&["sh", "-c", "kill -9 $$"], "").await;
        assert_eq!(killed, Finding::Unknown("was ended by a signal".into()));
    }

    #[tokio::test]
    async fn an_output_without_an_end_is_cut_and_no_shell_is_involved() {
        let script = ["sh", "-c", "head -c 5000000 /dev/zero; exit 0"];
        assert!(matches!(ran(&script, "").await, Finding::Holds(_)));
        let literal = ran(&["echo", "$(true)"], "is = '== $(true)'").await;
        assert!(matches!(literal, Finding::Holds(_)), "{literal}");
    }
}
