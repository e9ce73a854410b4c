//! A tool's own program, asked something.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::source::Absent;

/// The most that is kept of an answer, and of what it says besides, in bytes.
const MAX_ANSWER: usize = 64 << 20;
const MAX_SAID: usize = 64 << 10;
/// Bytes that are read at once.
const PIECE: usize = 16 << 10;
/// Between two looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// What runs it: the end of its standard input is ours, and comes when we end, however that is.
/// Then it is told to end too.
const SHELL: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ while read -r _; do :; done; kill "$child"; sleep 5; kill -KILL "$child"; } <&3 >/dev/null 2>&1 &
watch=$!
exec 3<&-
wait "$child"
status=$?
kill "$watch" 2>/dev/null
exit "$status"
"#;

/// A question: the program, its arguments, and what it is told through the environment.
pub(super) struct Question<'q> {
    pub(super) program: &'q str,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(&'static str, String)>,
    /// The longest that it may take; without one as long as it takes.
    pub(super) limit: Option<Duration>,
}

/// What a program did.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    /// What it said besides; of very much the middle is missing.
    pub(super) said: String,
}

impl Question<'_> {
    /// Runs it to its end.
    pub(super) fn ask(self) -> Result<Answer, Absent> {
        let program = self.program;
        let found = find(program).ok_or_else(|| {
            Absent::unknown(format!("cannot be asked: {program} is not installed here"))
                .hint("install it where this tool runs, in PATH, with what it needs to log in")
        })?;
        let cannot =
            |error: io::Error| Absent::unknown(format!("{program} cannot be run: {error}"));
        let mut child = Command::new("/bin/sh")
            .args(["-c", SHELL, "chaos-backup-check"])
            .arg(found)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(cannot)?;
        let stdout = keep(child.stdout.take(), MAX_ANSWER);
        let stderr = keep(child.stderr.take(), MAX_SAID);
        let status = end(&mut child, self.limit).map_err(cannot)?;
        let Some(status) = status else {
            let limit = self.limit.unwrap_or_default().as_secs();
            return Err(Absent::unknown(format!(
                "{program} did not answer in {limit} s, and was ended"
            ))
            .hint("is the way to its repository open? try the same by hand"));
        };
        let heard = |kept: Kept| kept.join().expect("reading does not panic");
        let (stdout, said) = (heard(stdout), heard(stderr));
        Ok(Answer {
            status,
            stdout,
            said: String::from_utf8_lossy(&said).into_owned(),
        })
    }
}

impl Answer {
    /// It could not do what it was asked.
    pub(super) fn refused(&self, program: &str, what: &str) -> Absent {
        let (status, said) = (&self.status, self.words());
        Absent::unknown(format!("{program} could not {what} ({status}): {said}"))
    }

    /// The first lines of what it said, for people.
    pub(super) fn words(&self) -> String {
        first_lines(&self.said)
    }
}

/// Where a program is, by PATH.
fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(program));
    places.find(|path| path.is_file())
}

/// Waits for its end; nothing where that does not come in time.
fn end(child: &mut Child, limit: Option<Duration>) -> io::Result<Option<ExitStatus>> {
    let Some(limit) = limit else {
        // The end of its input would end it.
        let _input = child.stdin.take();
        return child.wait().map(Some);
    };
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            // It ends with its input; the one who waits for it with it.
            drop(child.stdin.take());
            return child.wait().map(|_| None);
        }
        std::thread::sleep(PAUSE);
    }
}

type Kept = std::thread::JoinHandle<Vec<u8>>;

/// Reads an output to its end, and keeps its beginning and its end.
fn keep(output: Option<impl Read + Send + 'static>, most: usize) -> Kept {
    std::thread::spawn(move || {
        let (mut kept, mut piece) = (Vec::new(), vec![0; PIECE]);
        let Some(mut output) = output else {
            return kept;
        };
        // What breaks off here shows in the answer, which is cut then.
        while let Ok(read @ 1..) = output.read(&mut piece) {
            kept.extend(&piece[..read]);
            if kept.len() > most {
                kept.drain(most / 2..kept.len() - most / 4);
            }
        }
        kept
    })
}

fn first_lines(said: &str) -> String {
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<&str> = lines.take(3).collect();
    let said: String = lines.join("; ").chars().take(400).collect();
    if said.is_empty() {
        "it says nothing".to_owned()
    } else {
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(script: &str, limit: u64) -> Result<Answer, Absent> {
        let question = Question {
            program: "sh",
            args: vec!["-c".to_owned(), script.to_owned()],
            env: vec![("GREETING", "hello".to_owned())],
            limit: Some(Duration::from_secs(limit)),
        };
        question.ask()
    }

    #[test]
    fn answer_status_and_words_are_heard() {
        let answer = ask("echo $GREETING; echo no >&2; exit 7", 60).expect("it runs");
        assert_eq!(answer.status.code(), Some(7));
        assert_eq!(answer.stdout, b"hello\n");
        assert_eq!(answer.words(), "no");
    }

    #[test]
    fn of_much_the_beginning_and_the_end_are_kept() {
        let script = "echo first >&2; i=0; while [ $i -lt 20000 ]; do echo $i >&2; i=$((i+1)); done; \
             echo last >&2";
        let said = ask(script, 60).expect("it runs").said;
        assert!(said.starts_with("first") && said.ends_with("last\n"));
        assert!(said.len() < 2 * MAX_SAID, "{}", said.len());
    }

    #[test]
    fn one_that_never_ends_is_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let pid = folder.path().join("pid");
        let script = format!("echo $$ >{}; exec sleep 1000", pid.display());
        let late = ask(&script, 1).expect_err("it never ends");
        assert!(late.why.contains("did not answer in 1 s"), "{}", late.why);
        let pid = std::fs::read_to_string(pid).expect("it ran");
        let gone = || !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists();
        let start = Instant::now();
        while !gone() && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(PAUSE);
        }
        assert!(gone(), "{pid} is left");
    }

    #[test]
    fn a_program_that_is_missing_is_named() {
        let question = Question {
            program: "no-such-program",
            args: Vec::new(),
            env: Vec::new(),
            limit: None,
        };
        let absent = question.ask().expect_err("there is none");
        assert!(
            absent.why.contains("no-such-program is not installed"),
            "{}",
            absent.why
        );
    }
}
