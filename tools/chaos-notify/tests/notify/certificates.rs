//! Certificates for `localhost`: good ones, such that nobody vouches for, and expired ones; and what
//! becomes of a message to a server that shows each of them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::{Bench, channel, stderr, text};

/// What `openssl ca` wants to know.
const AUTHORITY: &str = "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = .\n\
    default_md = sha256\npolicy = any\nunique_subject = no\nx509_extensions = server\n[any]\ncommonName = supplied\n\
    [server]\nsubjectAltName = DNS:localhost\nbasicConstraints = critical, CA:FALSE\n";

fn openssl(bench: &Bench, args: &str) {
    let output = Command::new("openssl")
        .args(args.split(' '))
        .current_dir(bench.home.path())
        .output();
    let output = output.expect("openssl is there");
    assert!(output.status.success(), "{args}: {}", stderr(&output));
}

const RSA: &str = "rsa:2048";
/// Made in no time.
const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";

/// A certificate as `NAME.pem` with its `NAME.key`, signed by itself, valid between these dates.
fn certificate(bench: &Bench, name: &str, key: &str, from: &str, until: &str) {
    bench.file("ca.cnf", AUTHORITY);
    bench.file("index.txt", "");
    bench.file("serial", "01");
    openssl(
        bench,
        &format!(
            "req -new -newkey {key} -nodes -subj /CN=localhost -keyout {name}.key -out {name}.csr"
        ),
    );
    openssl(
        bench,
        &format!(
            "ca -batch -selfsign -config ca.cnf -keyfile {name}.key -in {name}.csr -out {name}.pem -notext \
             -startdate {from} -enddate {until}"
        ),
    );
}

/// A good one, another that is as good, and one that has expired.
pub(crate) fn certificates(bench: &Bench) {
    for (name, key, until) in [
        ("good", RSA, "20991231000000Z"),
        ("other", P256, "20991231000000Z"),
        ("expired", P256, "20200102000000Z"),
    ] {
        certificate(bench, name, key, "20200101000000Z", until);
    }
}

struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn new(bench: &Bench, certificate: &str) -> Server {
        bench.file("https.py", include_str!("https.py"));
        let process = Command::new("/usr/bin/python3")
            .args(["https.py", certificate])
            .current_dir(bench.home.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = process.expect("python3 is there");
        let mut first = String::new();
        let stdout = process.stdout.as_mut().expect("a pipe");
        let mut reader = BufReader::with_capacity(1, stdout);
        reader.read_line(&mut first).expect("it tells its port");
        let port = first.trim().parse().unwrap_or_else(|_| panic!("{first}"));
        Server { process, port }
    }

    /// How many messages it took.
    fn taken(mut self) -> usize {
        self.process.kill().expect("it runs");
        let stdout = self.process.stdout.take().expect("a pipe");
        let taken = BufReader::new(stdout).lines().count();
        self.process.wait().expect("it ends");
        taken
    }
}

#[test]
fn a_service_is_told_nothing_unless_its_certificate_is_good() {
    for (certificate, trusted, part) in [
        ("good", Some("good"), "ok"),
        ("good", None, "certificate"),
        ("good", Some("other"), "certificate"),
        ("expired", Some("expired"), "expired"),
        ("expired", None, "certificate"),
    ] {
        let bench = Bench::new("");
        certificates(&bench);
        let server = Server::new(&bench, certificate);
        let ca = trusted.map(|name| format!("ca = \"{name}.pem\"\n"));
        let config = format!(
            "[notify]\ndeadline = \"20s\"\n[notify.slack]\nwebhook = {{ file = \"hook\" }}\n{}",
            ca.unwrap_or_default()
        );
        bench.file("chaos.toml", &config);
        bench.file(
            "hook",
            &format!("https://localhost:{}/SECRET-hook", server.port),
        );
        let output = bench.start(&["scheduled", "--experiment", "x"]);
        let result = channel(&output);
        let detail = text(&result["detail"]).to_lowercase();
        assert!(detail.contains(part), "{certificate} {trusted:?}: {result}");
        let sent = part == "ok";
        assert_eq!(
            result["outcome"],
            if sent { "sent" } else { "failed" },
            "{result}"
        );
        assert_eq!(
            server.taken(),
            usize::from(sent),
            "{certificate} {trusted:?}"
        );
    }
}
