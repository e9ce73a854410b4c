//! PostgreSQL's own programs, as they are installed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// A folder with PostgreSQL's programs of one version.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
    /// `15.18`
    pub(crate) version: String,
}

/// These programs are not there, of one version.
#[derive(Debug, thiserror::Error)]
#[error("{0} are not installed: neither in PATH nor in /usr/lib/postgresql/*/bin")]
pub(super) struct NotInstalled(String);

impl Programs {
    /// The newest that are installed, with those named in `wanted`: in PATH, or where Debian and
    /// others put them.
    pub(crate) async fn find(wanted: &[&str]) -> Result<Programs, NotInstalled> {
        let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
            .map(|path| std::env::split_paths(&path).collect())
            .unwrap_or_default();
        for place in [
            "/usr/lib/postgresql",
            "/usr/pgsql",
            "/opt/homebrew/opt",
            "/usr/local/lib/postgresql",
        ] {
            let versions = std::fs::read_dir(place).into_iter().flatten().flatten();
            folders.extend(versions.map(|version| version.path().join("bin")));
        }
        let mut found: Vec<Programs> = Vec::new();
        for folder in folders {
            // A link in PATH leads to the folder with all the others.
            let Some(first) = wanted
                .first()
                .map(|name| folder.join(name))
                .filter(|path| path.is_file())
            else {
                continue;
            };
            let real = std::fs::canonicalize(&first)
                .ok()
                .and_then(|path| path.parent().map(Path::to_owned));
            for folder in [Some(folder), real].into_iter().flatten() {
                let whole = wanted.iter().all(|name| folder.join(name).is_file());
                if whole
                    && !found.iter().any(|programs| programs.folder == folder)
                    && let Some(version) = version(&folder.join(wanted[0])).await
                {
                    found.push(Programs { folder, version });
                }
            }
        }
        // The last of the newest is taken: of two that are as new, the first that PATH names.
        found
            .into_iter()
            .rev()
            .max_by_key(|programs| numbers(&programs.version))
            .ok_or_else(|| NotInstalled(wanted.join(", ")))
    }

    /// One of them.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// `initdb (PostgreSQL) 15.18 (Debian …)`: the third word.
async fn version(program: &Path) -> Option<String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let version = said
        .split_whitespace()
        .skip_while(|word| *word != "(PostgreSQL)")
        .nth(1)?;
    version
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| version.to_owned())
}

/// The numbers of a version, for comparison: `16.2`, `17devel`.
pub(crate) fn numbers(version: &str) -> (u32, u32) {
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_compare_by_their_numbers() {
        assert!(numbers("15.18") > numbers("15.9"));
        assert!(numbers("18beta1") > numbers("17.6"));
        assert!(numbers("9.6.24") < numbers("10.1"));
    }
}
