//! A probe that is a program: its exit status, and what it writes.

use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::{Finding, judge_json};
use crate::config::Probe;

/// The most of a program's output that is read, in bytes.
const MOST: u64 = 1 << 20;

/// Runs the program to its end. It is killed when this is given up.
pub(super) async fn run(argv: &[String], probe: &Probe) -> Finding {
    let program = &argv[0];
    let mut command = Command::new(program);
    command
        .args(&argv[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Finding::Unknown(format!("{program} can't be run: {error}")),
    };
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (status, out, err) = tokio::join!(child.wait(), read(out), read(err));
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
