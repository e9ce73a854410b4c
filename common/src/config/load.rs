//! Finding and reading `chaos.toml`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::Deserializer;

use super::experiment::ExperimentTables;
use super::setting::Setting;
use super::source::Source;
use super::{Config, Database, Monitoring, NotifyTable, Question, ReportDatabase, Secret};
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
    load_with(named, &[])
}

/// As [`load`], with keys that the command line sets for this call.
///
/// # Errors
/// As [`load`]; what is wrong with a key that the command line sets is told with its option.
pub fn load_with(named: Option<&Path>, settings: &[Setting]) -> Result<Loaded, Failure> {
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
        let config = parse(&Source::default().with(settings))?;
        return Ok(Loaded { config, path: None });
    };
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Failure::usage(format!(
            "cannot read the configuration {}: {error}",
            path.display()
        ))
    })?;
    let mut config = parse(&Source::new(&path, &text).with(settings))?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    anchor(&mut config, &folder);
    Ok(Loaded {
        config,
        path: Some(path),
    })
}

fn parse(source: &Source) -> Result<Config, Failure> {
    source.read(|mut root| {
        let tables = ExperimentTables::split_off(&mut root, source.clone());
        let notify = NotifyTable::split_off(&mut root, source.clone());
        // The place of the whole is of no use to anybody: every part has its own.
        let mut config = Config::deserialize(Deserializer::from(Spanned::new(0..0, root)))?;
        config.experiment.tables = tables;
        config.notify = notify;
        Ok(config)
    })
}

/// Makes relative paths count from the configuration's folder.
fn anchor(config: &mut Config, folder: &Path) {
    let fix = |path: &mut PathBuf| *path = folder.join(&*path);
    config
        .backups
        .iter_mut()
        .filter(|backup| backup.is_local())
        .for_each(|backup| fix(&mut backup.path));
    let tools = config.backups.iter_mut().filter_map(|backup| {
        let restic = backup
            .restic
            .as_mut()
            .and_then(|restic| restic.password.as_mut());
        restic.and_then(Secret::file_mut).map(fix);
        backup.pgbackrest.as_mut()?.config.as_mut()
    });
    tools.for_each(fix);
    fix(&mut config.report.archive);
    let archive = config.report.database.iter_mut();
    archive.flat_map(ReportDatabase::files_mut).for_each(fix);
    let services = config.services.iter_mut().map(|one| one.ca.as_mut());
    let urls = config.urls.iter_mut().map(|url| url.ca.as_mut());
    let probes = config.probes.iter_mut();
    let probes = probes.map(|probe| match &mut probe.question {
        Question::Http { ca, .. } => ca.as_mut(),
        _ => None,
    });
    services.chain(urls).chain(probes).flatten().for_each(fix);
    config
        .drill
        .iter_mut()
        .filter_map(|drill| drill.evidence.as_mut())
        .for_each(fix);
    let scratch = config.drill.as_mut().and_then(|drill| drill.url.as_mut());
    let database = config.database.iter_mut();
    database.flat_map(Database::files_mut).for_each(fix);
    let monitoring = config.monitoring.iter_mut();
    monitoring.flat_map(Monitoring::files_mut).for_each(fix);
    let (access_key, secret_key) = (config.s3.access_key.as_mut(), config.s3.secret_key.as_mut());
    let secrets = [scratch, access_key, secret_key].into_iter().flatten();
    secrets.filter_map(Secret::file_mut).for_each(fix);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Config, Failure> {
        parse(&Source::new(Path::new("chaos.toml"), text))
    }

    fn error(text: &str) -> String {
        parsed(text).expect_err("must be refused").message
    }

    fn set(text: &str, settings: &[&str]) -> Result<Config, String> {
        let settings: Vec<Setting> = settings
            .iter()
            .map(|setting| setting.parse().expect("a setting"))
            .collect();
        let source = Source::new(Path::new("chaos.toml"), text).with(&settings);
        parse(&source).map_err(|failure| failure.message)
    }

    #[test]
    fn the_command_line_sets_keys_and_is_blamed_for_what_they_break() {
        let text = "[experiment.flood]\ncount = 3\n";
        let config = set(text, &["limits.log_errors=7", "experiment.flood.count=4"]);
        let config = config.expect("good");
        assert_eq!(config.limits.log_errors, 7);
        let flood: Flood = config.experiment.tables.settings("flood").expect("good");
        assert_eq!(flood, Flood { count: 4 });
        assert_eq!(
            set(text, &["limits.log_errors=7", "limits.nonsense=1"]).expect_err("refused"),
            "--set limits.nonsense: unknown field `nonsense`, expected one of \
             `node_cpu_percent`, `node_memory_percent`, `pod_cpu_percent`, `pod_memory_percent`, \
             `log_errors`, `log_quiet`, `gate_max_age`, `namespaces`, `max_share_percent`, `watch`"
        );
        let file = set("[limit]\n", &["limits.log_errors=7"]).expect_err("refused");
        assert!(file.starts_with("chaos.toml:1:2: unknown field"), "{file}");
        let both = ["database.deployment=db", "database.nonsense=1"];
        let missing = set("", &both).expect_err("refused");
        assert!(missing.starts_with("--set database."), "{missing}");
    }

    #[test]
    fn a_wrong_setting_of_an_experiment_is_blamed_on_its_option() {
        let config = set("", &["experiment.flood.cuont=4"]).expect("good so far");
        let refused = config.experiment.tables.settings::<Flood>("flood");
        assert_eq!(
            refused.expect_err("wrong").message,
            "--set experiment.flood.cuont: unknown field `cuont`, expected `count`"
        );
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        assert!(error("[application]\nnamspace = \"x\"\n").contains("unknown field `namspace`"));
        assert!(error("[limit]\n").contains("unknown field `limit`"));
    }

    #[test]
    fn a_secret_in_the_file_is_refused_and_not_repeated() {
        let text = "[database]\ndeployment = \"d\"\nname = \"shop\"\npassword = \"hunter2\"\n";
        let message = error(text);
        assert!(
            message.contains("a secret does not stand in this file"),
            "{message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Flood {
        count: u32,
    }

    #[test]
    fn the_table_of_an_experiment_is_read_by_whoever_knows_it() {
        let text = "[experiment]\nsettle = \"1s\"\n[experiment.flood]\ncount = 3\n";
        let tables = parsed(text).expect("good").experiment.tables;
        assert_eq!(tables.names().collect::<Vec<_>>(), ["flood"]);
        let settings = |name| tables.settings::<Flood>(name).expect("good");
        assert_eq!(settings("flood"), Flood { count: 3 });
        assert_eq!(settings("drought"), Flood::default());
        assert_eq!(
            tables.error("flood", "is unknown").message,
            "chaos.toml:3:13: is unknown"
        );
    }

    #[test]
    fn a_wrong_key_of_an_experiment_is_refused_with_its_line() {
        let refused = |text: &str| {
            let tables = parsed(text).expect("good so far").experiment.tables;
            tables
                .settings::<Flood>("flood")
                .expect_err("wrong")
                .message
        };
        let unknown = refused("[experiment.flood]\ncuont = 3\n");
        assert_eq!(
            unknown,
            "chaos.toml:2:1: unknown field `cuont`, expected `count`"
        );
        let wrong = refused("[experiment]\nflood = { count = \"many\" }\n");
        assert!(
            wrong.starts_with("chaos.toml:2:19: invalid type"),
            "{wrong}"
        );
        assert!(error("[experiment]\nsetle = \"1s\"\n").contains("unknown field `setle`"));
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Bells {
        count: u32,
    }

    #[test]
    fn the_channels_are_read_by_the_tool_that_uses_them() {
        let notify = |text: &str| parsed(text).expect("good so far").notify;
        let bells = |text: &str| notify(text).settings::<Bells>();
        let good = bells("[notify]\ncount = 3\n").expect("good");
        assert_eq!(good, Bells { count: 3 });
        assert_eq!(bells("").expect("the defaults"), Bells::default());
        let unknown = bells("[report]\n[notify]\ncuont = 3\n").expect_err("wrong");
        assert_eq!(
            unknown.message,
            "chaos.toml:3:1: unknown field `cuont`, expected `count`"
        );
    }

    #[test]
    fn relative_paths_count_from_the_file() {
        let mut config =
            parsed("[[backup]]\nname='d'\nkind='tar'\npath='b/x.tar'\n[[backup]]\nname='s'\nkind='tar'\npath='s3://b/k'\n[report]\narchive='/abs'\n").expect("good");
        anchor(&mut config, Path::new("/etc/chaos"));
        assert_eq!(config.backups[0].path, Path::new("/etc/chaos/b/x.tar"));
        assert_eq!(
            config.backups[1].path,
            Path::new("s3://b/k"),
            "it is no path of this machine"
        );
        assert_eq!(config.report.archive, Path::new("/abs"));
        let mut config = parsed(
            "[database]\nname='n'\nworkload='sts/d'\npassword={file='p'}\ncertificate='c'\nkey='k'\n\
             [monitoring.prometheus]\nurl='https://p'\nca='a'\ntoken={file='t'}\n",
        )
        .expect("good");
        anchor(&mut config, Path::new("/etc/chaos"));
        let mut database = config.database.expect("it is there");
        let files: Vec<_> = database.files_mut().map(|path| path.clone()).collect();
        assert_eq!(
            files,
            ["p", "c", "k"].map(|name| Path::new("/etc/chaos").join(name))
        );
        let mut monitoring = config.monitoring.expect("it is there");
        let files: Vec<_> = monitoring.files_mut().map(|path| path.clone()).collect();
        assert_eq!(
            files,
            ["a", "t"].map(|name| Path::new("/etc/chaos").join(name))
        );
    }
}
