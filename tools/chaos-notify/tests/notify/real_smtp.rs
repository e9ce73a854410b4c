//! A real mail server, Debian's aiosmtpd, strict as servers on the Internet are: TLS and a login are
//! required, EHLO must give a full name or an address, and the certificate is checked.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::certificates::certificates;
use crate::{Bench, channel, stderr, stdout, text};

const SERVER: &str = include_str!("strict_smtp.py");
const PYTHON: &str = "/usr/bin/python3";
pub(crate) const PASSWORD: &str = "hunter2-SECRET";

pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// A server with this certificate; `mode` is `starttls` or `tls`.
    pub(crate) fn new(bench: &Bench, mode: &str, certificate: &str) -> Server {
        bench.file("server.py", SERVER);
        let process = Command::new(PYTHON)
            .args(["server.py", mode, certificate, PASSWORD])
            .current_dir(bench.home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = process.expect("python3 is there");
        let mut first = String::new();
        let stdout = process.stdout.take().expect("a pipe");
        let mut reader = BufReader::new(stdout);
        reader.read_line(&mut first).expect("it tells its port");
        let port = first.trim().parse().unwrap_or_else(|_| panic!("{first}"));
        Server { process, port }
    }

    pub(crate) fn config(&self, tls: &str, more: &str) -> String {
        format!(
            "[notify.mail]\nhost = \"localhost\"\nport = {}\ntls = \"{tls}\"\nuser = \"chaos\"\n\
             password = {{ file = \"password\" }}\nfrom = \"chaos@company.com\"\nteam = [\"team@company.com\"]\n{more}",
            self.port
        )
    }
}

pub(crate) fn mails(bench: &Bench) -> Vec<String> {
    let folder = bench.home.path().join("mails");
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .map(|entry| {
            let mut text = String::new();
            let file = std::fs::File::open(entry.expect("readable").path());
            file.expect("readable")
                .read_to_string(&mut text)
                .expect("UTF-8");
            text
        })
        .collect()
}

pub(crate) fn installed() -> bool {
    let there = Path::new("/usr/lib/python3/dist-packages/aiosmtpd").exists();
    if !there {
        crate::needs::skipped("aiosmtpd is not installed (scripts/setup.sh installs it)");
    }
    there
}

#[test]
fn a_strict_server_takes_the_mail_over_tls_with_a_login() {
    if !installed() {
        return;
    }
    for tls in ["starttls", "tls"] {
        let bench = Bench::new("");
        certificates(&bench);
        bench.file("password", PASSWORD);
        let server = Server::new(&bench, tls, "good");
        bench.file("chaos.toml", &server.config(tls, "ca = \"good.pem\"\n"));
        let output = bench.start(&["scheduled", "--experiment", "pod-failure"]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{tls}: {}{}",
            stdout(&output),
            stderr(&output)
        );
        let mails = mails(&bench);
        assert_eq!(mails.len(), 1);
        assert!(
            mails[0].contains("X-Session: tls=True login=chaos"),
            "{}",
            mails[0]
        );
        assert!(
            mails[0].contains("Content-Type: multipart/alternative"),
            "{}",
            mails[0]
        );
        assert!(!(stdout(&output) + &stderr(&output)).contains("SECRET"));
    }
}

#[test]
fn a_server_with_a_wrong_certificate_password_or_a_short_name_gets_nothing() {
    if !installed() {
        return;
    }
    let bench = Bench::new("");
    certificates(&bench);
    let good = Server::new(&bench, "starttls", "good");
    let expired = Server::new(&bench, "starttls", "expired");
    for (server, password, more, part) in [
        (&good, PASSWORD, "", "certificate"),
        (&good, PASSWORD, "ca = \"other.pem\"\n", "certificate"),
        (&expired, PASSWORD, "ca = \"expired.pem\"\n", "expired"),
        (
            &good,
            "wrong-SECRET",
            "ca = \"good.pem\"\n",
            "the login is refused (535)",
        ),
        (
            &good,
            PASSWORD,
            "ca = \"good.pem\"\nhello = \"vm\"\n",
            "full name",
        ),
    ] {
        bench.file("password", password);
        let head = "[notify]\ndeadline = \"20s\"\n";
        bench.file(
            "chaos.toml",
            &(head.to_owned() + &server.config("starttls", more)),
        );
        let output = bench.start(&["scheduled", "--experiment", "pod-failure"]);
        assert_eq!(output.status.code(), Some(1), "{part}: {}", stderr(&output));
        let result = channel(&output);
        let detail = text(&result["detail"]).to_lowercase();
        assert!(detail.contains(part), "{part}: {result}");
        assert!(!(stdout(&output) + &stderr(&output)).contains("SECRET"));
    }
    assert!(mails(&bench).is_empty());
}
