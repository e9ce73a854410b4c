//! A folder to run the tool in, and what came of it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

pub const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// The newest PostgreSQL that is installed.
pub const INSTALLED: &str = "PATH=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1):$PATH";

const POSTGRES: &str = r#"
mkdir run
initdb -U postgres -A trust -E UTF8 --no-locale --no-sync -D data >/dev/null
pg_ctl -D data -w -o "-k $1/run -c listen_addresses= -c fsync=off" -l log start >/dev/null
trap 'pg_ctl -D data -m immediate stop >/dev/null' EXIT
export PGHOST=$1/run PGUSER=postgres
"#;

/// A folder that is home and working directory of the tool.
pub struct Place {
    folder: TempDir,
    env: Vec<(String, String)>,
}

/// What the tool did.
pub struct Ran(pub Output);

/// The fixtures of this tool.
pub fn fixture(path: &str) -> Vec<u8> {
    let path = Path::new("tests/fixtures").join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Place {
    pub fn new() -> Place {
        Place {
            folder: tempfile::tempdir().expect("a folder"),
            env: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn env(mut self, name: &str, value: &str) -> Place {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a file that was last written to so many minutes ago.
    pub fn file(&self, name: &str, contents: &[u8], minutes: u64) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("in the folder")).expect("made");
        fs::write(&path, contents).expect("written");
        let file = File::options().write(true).open(&path).expect("there");
        let then = SystemTime::now() - Duration::from_secs(minutes * 60);
        file.set_modified(then).expect("set");
        path
    }

    /// Has a script make things in the folder `made`, as somebody who is not root: PostgreSQL does not
    /// run as root.
    pub fn make(&self, script: &str) {
        let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777));
        fs::create_dir(self.path("made")).expect("made");
        open(&self.path("made")).expect("ours");
        open(&self.path("")).expect("ours");
        let script = self.file("make.sh", script.as_bytes(), 1);
        let mut command = Command::new("bash");
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "bash"]);
        }
        let ran = command
            .arg(script)
            .arg(self.path("made"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .output()
            .expect("bash is there");
        assert!(
            ran.status.success(),
            "{}{}",
            String::from_utf8_lossy(&ran.stderr),
            String::from_utf8_lossy(&ran.stdout)
        );
    }

    /// The same beside a PostgreSQL, which listens on a socket in the folder and is gone at the end;
    /// `programs` says which.
    pub fn make_in_postgres(&self, programs: &str, script: &str) {
        self.make(&format!(
            "set -euo pipefail\ncd \"$1\"\n{programs}\n{POSTGRES}\n{script}"
        ));
    }

    pub fn config(&self, text: &str) {
        let text = format!("[application]\nnamespace = 'shop'\n{text}");
        fs::write(self.path("chaos.toml"), text).expect("written");
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-backup-check"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.folder.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// What it prints, and the most memory that it has, in kilobytes.
    pub fn measured(&self) -> (String, u64) {
        let tool = self.command(&[]);
        let mut command = Command::new("/usr/bin/time");
        command.args(["-f", "%M"]).arg(tool.get_program());
        command
            .current_dir(self.path(""))
            .env_clear()
            .env("HOME", self.path(""));
        let output = command.output().expect("time is there");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let kilobytes = said.lines().last().and_then(|line| line.parse().ok());
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        (printed, kilobytes.expect("a number"))
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran(self.command(args).output().expect("the tool starts"))
    }
}

impl Ran {
    pub fn everything(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&self.0.stdout), text(&self.0.stderr));
        format!("{out}\n{err}\n{:?}", self.0.status)
    }

    #[track_caller]
    pub fn exits(&self, code: i32) -> &Ran {
        assert_eq!(self.0.status.code(), Some(code), "{}", self.everything());
        self
    }

    #[track_caller]
    pub fn record(&self) -> Value {
        let text = String::from_utf8_lossy(&self.0.stdout).into_owned();
        let last = text.lines().last();
        let last = last.unwrap_or_else(|| panic!("no line: {}", self.everything()));
        serde_json::from_str(last).expect("JSON")
    }

    /// Status and message of the check with this id on the object that ends so.
    #[track_caller]
    pub fn check(&self, id: &str, object: &str) -> (String, String) {
        let record = self.record();
        let checks = record["data"]["checks"].as_array().expect("checks").clone();
        let is = |check: &&Value| {
            let of = check["object"].as_str().unwrap_or_default();
            check["id"] == id && of.ends_with(object)
        };
        let found = checks.iter().find(is);
        let check = found.unwrap_or_else(|| panic!("no {id} of {object}: {}", self.everything()));
        let text = |key: &str| check[key].as_str().expect("text").to_owned();
        (text("status"), text("message"))
    }

    /// Asserts status and a part of the message of a check.
    #[track_caller]
    pub fn says(&self, id: &str, object: &str, status: &str, words: &str) -> &Ran {
        let (found, message) = self.check(id, object);
        assert_eq!(found, status, "{id}: {message}");
        assert!(message.contains(words), "{id}: {message}");
        self
    }
}
