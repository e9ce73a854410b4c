//! Finding and reading `chaos.toml`.

use std::path::{Path, PathBuf};

use super::{Config, Secret};
use crate::exit::Failure;

/// A configuration and the file that it came from; `None` means that there was none.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Where it was found.
    pub path: Option<PathBuf>,
}

/// Reads the configuration: `named` (from `--config`), else `$CHAOS_CONFIG`, else `./chaos.toml`,
/// else `chaos/chaos.toml` in the XDG configuration folder, else the defaults.
///
/// # Errors
/// A file that was named does not exist, or any of them can't be read or is wrong; with file, line
/// and column, and without the file's text, which could be a secret in the wrong place.
pub fn load(named: Option<&Path>) -> Result<Loaded, Failure> {
    let env = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let xdg = env("XDG_CONFIG_HOME").or_else(|| env("HOME").map(|home| home.join(".config")));
    let found = [
        Some(PathBuf::from("chaos.toml")),
        xdg.map(|folder| folder.join("chaos/chaos.toml")),
    ];
    let path = named
        .map(Path::to_owned)
        .or_else(|| env("CHAOS_CONFIG"))
        .or_else(|| found.into_iter().flatten().find(|path| path.exists()));
    let Some(path) = path else {
        return Ok(Loaded::default());
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::usage(format!(
            "cannot read the configuration {}: {error}",
            path.display()
        ))
    })?;
    let mut config = parse(&text).map_err(|error| {
        let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
        Failure::usage(format!(
            "{}:{line}:{column}: {}",
            path.display(),
            error.message()
        ))
        .hint("scripts/ecommerce.toml shows every key with its meaning")
    })?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    anchor(&mut config, &folder);
    Ok(Loaded {
        config,
        path: Some(path),
    })
}

fn parse(text: &str) -> Result<Config, toml::de::Error> {
    toml::from_str(text)
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// Makes relative paths count from the configuration's folder.
fn anchor(config: &mut Config, folder: &Path) {
    let fix = |path: &mut PathBuf| *path = folder.join(&*path);
    config
        .backups
        .iter_mut()
        .filter(|backup| backup.is_local())
        .for_each(|backup| fix(&mut backup.path));
    fix(&mut config.report.archive);
    config
        .urls
        .iter_mut()
        .filter_map(|url| url.ca.as_mut())
        .for_each(fix);
    config
        .drill
        .iter_mut()
        .filter_map(|drill| drill.evidence.as_mut())
        .for_each(fix);
    let scratch = config.drill.as_mut().and_then(|drill| drill.url.as_mut());
    let mail = config
        .notify
        .mail
        .as_mut()
        .and_then(|mail| mail.password.as_mut());
    let slack = config.notify.slack.as_mut().map(|slack| &mut slack.webhook);
    let page = config.notify.status_page.as_mut();
    let (url, token) = page.map_or((None, None), |page| {
        (Some(&mut page.url), page.token.as_mut())
    });
    let database = config.database.as_mut();
    let (database, ca) = database.map_or((None, None), |d| (d.password.as_mut(), d.ca.as_mut()));
    if let Some(path) = ca {
        fix(path);
    }
    let (access_key, secret_key) = (config.s3.access_key.as_mut(), config.s3.secret_key.as_mut());
    for secret in [
        mail, slack, url, token, database, scratch, access_key, secret_key,
    ]
    .into_iter()
    .flatten()
    {
        if let Secret::File(path) = secret {
            fix(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text)
            .expect_err("must be refused")
            .message()
            .to_owned()
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        assert!(error("[application]\nnamspace = \"x\"\n").contains("unknown field `namspace`"));
        assert!(error("[limit]\n").contains("unknown field `limit`"));
    }

    #[test]
    fn a_secret_in_the_file_is_refused_and_not_repeated() {
        let text = "[notify.slack]\nwebhook = \"https://hooks.example/T0/hunter2\"\n";
        let message = error(text);
        assert!(
            message.contains("a secret does not stand in this file"),
            "{message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn positions_count_from_one() {
        assert_eq!(position("a\nbc\nd", 3), (2, 2));
        assert_eq!(position("a", 0), (1, 1));
    }

    #[test]
    fn relative_paths_count_from_the_file() {
        let mut config =
            parse("[[backup]]\nname='d'\nkind='tar'\npath='b/x.tar'\n[[backup]]\nname='s'\nkind='tar'\npath='s3://b/k'\n[report]\narchive='/abs'\n").expect("good");
        anchor(&mut config, Path::new("/etc/chaos"));
        assert_eq!(config.backups[0].path, Path::new("/etc/chaos/b/x.tar"));
        assert_eq!(
            config.backups[1].path,
            Path::new("s3://b/k"),
            "it is no path of this machine"
        );
        assert_eq!(config.report.archive, Path::new("/abs"));
    }
}
