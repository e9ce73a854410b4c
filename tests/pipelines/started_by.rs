//! Who starts the tools where nobody sits in front of them: sshd, cron, and systemd. Each gives them an input, an output
//! and an environment of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chaos_tests::free_port::free_port;
use chaos_tests::run::{Place, bin, until};

use super::needs::skipped;
use super::{dead_cluster, place_with_dead_cluster};
use crate::standard_input::place_with_backup;

/// A process that ends with its test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program that scripts/setup.sh has put into the cache, for root; without it the test is skipped.
fn fetched(path: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("CHAOS_CACHE").map(PathBuf::from);
    let program = cache.map(|cache| cache.join(path));
    let program = program.filter(|program| program.exists());
    if program.is_none() {
        skipped(&format!(
            "{path} is not there: scripts/setup.sh gets it, and make test says where it is"
        ));
    } else if !rustix::process::geteuid().is_root() {
        skipped(&format!("{path} needs root"));
        return None;
    }
    program
}

/// OpenSSH's server on the loopback, with keys of its own. It has a view of this machine of its own, too, in which there
/// is the user and the folder that it wants: nothing is changed for anybody else.
struct Sshd {
    place: Place,
    port: u16,
    _server: Server,
}

impl Sshd {
    fn start(place: Place) -> Option<Sshd> {
        let program = fetched("sshd/usr/sbin/sshd")?;
        for key in ["host", "user"] {
            let made = ["-q", "-t", "ed25519", "-N", "", "-f", key];
            let made = place.command("ssh-keygen").args(made).status();
            assert!(made.expect("ssh-keygen is there").success());
        }
        let port = free_port();
        let folder = place.path().display().to_string();
        let path = format!("{}:/usr/bin:/bin", bin().display());
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n\
             SetEnv PATH={path} KUBECONFIG={folder}/kubeconfig HOME={folder}\n"
        );
        place.file("sshd_config", &config);
        let users = fs::read_to_string("/etc/passwd").expect("there are users");
        place.file(
            "passwd",
            &(users + "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"),
        );
        let script = "mount --bind passwd /etc/passwd && mount -t tmpfs none /run && mkdir -m 755 /run/sshd && exec \"$0\" -D -e -f sshd_config";
        let log = fs::File::create(place.path().join("sshd.log")).expect("a file can be made");
        let server = place
            .command("unshare")
            .args(["--mount", "sh", "-c", script])
            .arg(&program)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let mut server = Server(server.expect("unshare is there"));
        until("sshd listens", || {
            let ended = server.0.try_wait().expect("it is ours");
            let log = || fs::read_to_string(place.path().join("sshd.log"));
            assert!(ended.is_none(), "sshd ended: {:?}", log());
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Some(Sshd {
            place,
            port,
            _server: server,
        })
    }

    /// `ssh HOST COMMAND`
    fn ssh(&self, options: &[&str], command: &str) -> Command {
        let mut ssh = self.place.command("ssh");
        ssh.args(["-p", &self.port.to_string(), "-i", "user", "-F", "none"])
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=known",
            ])
            .args(["-o", "BatchMode=yes", "-o", "LogLevel=ERROR"])
            .args(options)
            .args(["root@127.0.0.1", command])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        ssh
    }
}

fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Runs a command with this on its standard input, which ends then.
fn feed(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("ssh is there");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that does not read its input is one of the cases.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

#[test]
fn sshd_starts_the_tools_with_and_without_an_input() {
    let place = place_with_backup();
    dead_cluster(&place);
    let folder = place.path().display().to_string();
    let Some(sshd) = Sshd::start(place) else {
        return;
    };
    // An input that stays open, and on which nobody writes.
    let mut health = sshd.ssh(&[], "chaos-health -n shop");
    let mut health = health.stdin(Stdio::piped()).spawn().expect("ssh is there");
    let held = health.stdin.take();
    let output = health.wait_with_output().expect("it ends");
    drop(held);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("chaos.health/1"),
        "{}",
        said(&output)
    );

    // None at all, as in scripts: what needs no stream does its work.
    let check = format!("cd {folder} && env -u KUBECONFIG chaos-backup-check");
    let output = sshd.ssh(&["-n"], &check).output().expect("ssh is there");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = sshd.ssh(&["-n"], "chaos-notify completed").output();
    let output = output.expect("ssh is there");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));

    // A script: what is behind a tool's line is the shell's, and not the tool's.
    let script = "chaos-health -n shop -o text >/dev/null\necho after $?\n";
    let output = feed(sshd.ssh(&[], "bash -s"), script.as_bytes());
    assert!(said(&output).contains("after 3"), "{}", said(&output));

    // A stream that comes from another machine.
    let first = sshd.place.tool("chaos-backup-check", &["-n", "shop"]);
    let output = feed(sshd.ssh(&[], &check), first.stdout().as_bytes());
    let text = said(&output);
    let records = text.matches("{\"schema\":\"chaos.backup/1\"").count();
    assert_eq!((output.status.code(), records), (Some(0), 2), "{text}");
    let output = feed(sshd.ssh(&[], &check), b"NAME READY\nshop 1/1\n");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));

    // A terminal that is asked for is one, and nobody hangs on it.
    let output = sshd.ssh(&["-tt"], "chaos-health -n shop");
    let output = feed(output, b"");
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert!(
        said(&output).contains("cluster.reachable"),
        "{}",
        said(&output)
    );
}

#[test]
fn cron_starts_the_tools() {
    let place = place_with_backup();
    let folder = place.path().display().to_string();
    let line = format!(
        "* * * * * cd {folder} && PATH={}:/bin:/usr/bin chaos-backup-check -n shop >out 2>err; echo $? >status.new; mv status.new status",
        bin().display()
    );
    place.file("tabs/root", &format!("{line}\n"));
    let Some(busybox) = fetched("crond/bin/busybox") else {
        return;
    };
    let cron = place
        .command(busybox)
        .args(["crond", "-f", "-L", "crond.log", "-c"])
        .arg(place.path().join("tabs"))
        .stdin(Stdio::null())
        .spawn();
    let mut cron = Server(cron.expect("it is there"));
    let read = |name: &str| fs::read_to_string(place.path().join(name)).ok();
    let status = until("cron has run the check", || {
        let ended = cron.0.try_wait().expect("it is ours");
        assert!(ended.is_none(), "crond ended: {:?}", read("crond.log"));
        read("status")
    });
    let (out, err) = (read("out"), read("err"));
    assert_eq!(
        status.trim(),
        "0",
        "{out:?} {err:?} {:?}",
        read("crond.log")
    );
    assert!(
        out.is_some_and(|out| out.contains("chaos.backup/1")),
        "{err:?}"
    );
}

/// As systemd starts a service (systemd.exec(5)): nothing on standard input, a socket of the journal's as output and
/// error, an environment without HOME, and `/` as the folder.
#[test]
fn systemd_starts_the_tools() {
    let place = place_with_dead_cluster();
    let kubeconfig = place.path().join("kubeconfig");
    let (journal, theirs) = UnixStream::pair().expect("two sockets");
    let output = OwnedFd::from(theirs);
    let error = output.try_clone().expect("a socket can be shared");
    let mut command = Command::new(bin().join("chaos-health"));
    command
        .args(["-n", "shop"])
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
        .env("LANG", "C.UTF-8")
        .env("INVOCATION_ID", "6f1d2a531f2e4f0e8d07000000000001")
        .env("JOURNAL_STREAM", "8:4711")
        .env("KUBECONFIG", kubeconfig)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(error);
    let began = Instant::now();
    let mut child = command.spawn().expect("the tool can be started");
    drop(command);
    let reader = thread::spawn(move || {
        let (mut journal, mut text) = (journal, String::new());
        journal.read_to_string(&mut text).expect("it is text");
        text
    });
    let status = child.wait().expect("it ends");
    let text = reader.join().expect("it reads");
    assert_eq!(status.code(), Some(3), "{text}");
    assert!(text.contains("chaos.health/1"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours: {text}");
    assert!(began.elapsed() < Duration::from_secs(120), "{text}");
}
