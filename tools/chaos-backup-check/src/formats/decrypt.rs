//! Reads a backup through the command that decrypts it. What the command says counts as much as
//! what it writes: one that fails half way has written something that looks cut.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::formats::error::FormatError;
use crate::formats::pipe::BUFFER;

/// A command that neither takes nor gives a byte for so long does not end by itself.
pub const STALL: Duration = Duration::from_secs(300);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Bytes of what the command says that are told.
const TOLD: u64 = 300;

/// Gives `parse` what the command makes of the bytes of `reader`; the command is ended where it does
/// nothing for `stall`.
///
/// # Errors
///
/// Those of `parse`; and where the command could not be run, or failed, that, whatever `parse` made
/// of what it wrote.
pub fn through<T>(
    command: &[String],
    reader: &mut (dyn BufRead + Send),
    stall: Duration,
    parse: impl FnOnce(&mut (dyn BufRead + Send)) -> Result<T, FormatError>,
) -> Result<T, FormatError> {
    let name = command.first().map_or("", String::as_str);
    let failed = |why: String| FormatError::CannotTell(format!("is not decrypted: {name} {why}"));
    let mut child = start(command).map_err(|error| failed(format!("cannot be run: {error}")))?;
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        unreachable!("all three are pipes")
    };
    let watch = Watch::default();
    let (parsed, fed, said, ended) = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(reader, stdin, &watch.moved));
        let said = scope.spawn(move || hear(stderr));
        let waiter = scope.spawn(|| watch.wait(child, stall));
        let moved = Moved(stdout, &watch.moved);
        let mut plain = BufReader::with_capacity(BUFFER, moved);
        let parsed = parse(&mut plain);
        // How the command ends is known when it has written everything.
        let rest = io::copy(&mut plain, &mut io::sink());
        (
            parsed,
            joined(feeder),
            joined(said),
            rest.and(joined(waiter)),
        )
    });
    let status = ended.map_err(|error| failed(format!("cannot be heard: {error}")))?;
    if watch.stalled.load(Ordering::Relaxed) {
        let seconds = stall.as_secs();
        return Err(failed(format!(
            "did nothing for {seconds} seconds, and was ended"
        )));
    }
    // A backup that can't be read to its end makes any command fail.
    fed?;
    if status.success() {
        return parsed;
    }
    let said = String::from_utf8_lossy(&said).trim().replace('\n', "; ");
    Err(failed(format!("ended with {status}: {said}")))
}

/// Starts it in a process group of its own, so that all of it can be ended.
fn start(command: &[String]) -> io::Result<Child> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| io::Error::other("there is no command"))?;
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Whether a command does anything.
#[derive(Default)]
struct Watch {
    /// Bytes that it has taken and given.
    moved: Arc<AtomicU64>,
    /// It was ended because it did nothing.
    stalled: AtomicBool,
}

impl Watch {
    /// Waits for its end, and ends it where it does nothing for too long.
    fn wait(&self, mut child: Child, stall: Duration) -> io::Result<ExitStatus> {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            let moved = self.moved.load(Ordering::Relaxed);
            if moved != before {
                (before, since) = (moved, Instant::now());
            }
            if since.elapsed() >= stall {
                self.stalled.store(true, Ordering::Relaxed);
                let group = Pid::from_child(&child);
                kill_process_group(group, Signal::KILL)?;
                return child.wait();
            }
            std::thread::sleep(LOOK);
        }
    }
}

/// Feeds the command. That it does not want all of it is its own affair.
fn feed(
    reader: &mut (dyn BufRead + Send),
    mut stdin: impl Write,
    moved: &AtomicU64,
) -> Result<(), FormatError> {
    let mut position = 0;
    loop {
        let bytes = match reader.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(FormatError::reading(position, &error)),
        };
        let taken = bytes.len();
        if stdin.write_all(bytes).is_err() {
            return Ok(());
        }
        reader.consume(taken);
        position += taken as u64;
        moved.fetch_add(taken as u64, Ordering::Relaxed);
    }
}

/// The beginning of what the command says; the rest must not stop it.
fn hear(mut stderr: ChildStderr) -> Vec<u8> {
    let mut said = Vec::new();
    // What can't be heard is not told.
    let _ = stderr.by_ref().take(TOLD).read_to_end(&mut said);
    let _ = io::copy(&mut stderr, &mut io::sink());
    said
}

/// A reader that counts.
struct Moved<'c, R>(R, &'c AtomicU64);

impl<R: Read> Read for Moved<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, input: &[u8], stall: Duration) -> Result<Vec<u8>, String> {
        let command = ["sh", "-c", script].map(str::to_owned);
        let mut reader = BufReader::new(input);
        let read = |plain: &mut (dyn BufRead + Send)| {
            let mut all = Vec::new();
            plain
                .read_to_end(&mut all)
                .map_err(|error| FormatError::reading(0, &error))?;
            if all.starts_with(b"bad") {
                return FormatError::damaged("is damaged");
            }
            Ok(all)
        };
        match through(&command, &mut reader, stall, read) {
            Ok(all) => Ok(all),
            Err(FormatError::CannotTell(why)) => Err(format!("unknown: {why}")),
            Err(FormatError::Damaged(why)) => Err(format!("damaged: {why}")),
        }
    }

    #[test]
    fn what_a_command_writes_is_read_and_its_status_counts() {
        let input = vec![b'x'; 3 << 20];
        assert_eq!(run("cat", &input, STALL), Ok(input.clone()));
        assert_eq!(run("cat >&2; echo ok", &input, STALL), Ok(b"ok\n".to_vec()));
        assert_eq!(run("echo early", &input, STALL), Ok(b"early\n".to_vec()));
        assert_eq!(
            run("echo bad", b"", STALL),
            Err("damaged: is damaged".to_owned())
        );
        let half = run("head -c 1000; echo no key >&2; exit 2", &input, STALL);
        let why = half.expect_err("it failed");
        assert!(
            why.starts_with("unknown: ") && why.contains("no key"),
            "{why}"
        );
        assert!(why.contains("exit status: 2"), "{why}");
        let why = run("echo bad; exit 1", b"", STALL).expect_err("it failed");
        assert!(why.starts_with("unknown: "), "{why}");
    }

    #[test]
    fn a_command_that_never_ends_is_ended_with_all_that_it_started() {
        let why = run("sleep 1000 & sleep 1000", b"x", Duration::from_millis(200));
        let why = why.expect_err("it never ends");
        assert!(why.contains("did nothing"), "{why}");
    }

    #[test]
    fn a_command_that_is_not_there_is_told() {
        let command = ["/nonexistent/age".to_owned()];
        let mut reader = BufReader::new(&b"x"[..]);
        let read = through(&command, &mut reader, STALL, |_| Ok(()));
        assert!(
            matches!(&read, Err(FormatError::CannotTell(why)) if why.contains("cannot be run")),
            "{read:?}"
        );
    }
}
