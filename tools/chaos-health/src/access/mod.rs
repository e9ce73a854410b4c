//! `chaos-health access`: for every part of the configuration, whether it can be reached, and with
//! which rights. Nothing is changed, and nothing is said of whether it is well.

mod rights;

use std::io::Write as _;
use std::time::Duration;

use chaos_common::cli::{ClusterArgs, Common};
use chaos_common::cluster::probe::{Endpoint, HttpProbe};
use chaos_common::cluster::rbac::{self, Account, RbacArgs};
use chaos_common::cluster::url::UrlProbe;
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::{Config, Secret};
use chaos_common::exit::{Exit, Failure};
use chaos_common::output;
use chaos_common::postgres::Session;
use chaos_common::record::{Check, Verdict, summarize};
use chaos_common::stream::Format;
use futures::future::join_all;
use futures::join;

/// Time that an answer may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Where to look.
#[derive(clap::Args, Debug)]
pub(crate) struct AccessArgs {
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    rbac: RbacArgs,
}

/// Tries every part, and prints what came of it.
///
/// # Errors
/// The configuration can't be used, or there is no way to a cluster.
pub(crate) async fn run(args: AccessArgs, common: &Common) -> Result<Exit, Failure> {
    let config = common.load()?.config;
    let namespace = args.cluster.namespace(&config)?;
    let cluster = Cluster::connect(&args.cluster.access())
        .await
        .map_err(ReadError::usage)?;
    let probe = HttpProbe::new(&cluster);
    if let Some(account) = &args.rbac.rbac {
        return grant(&cluster, &probe, (&config, &namespace), account).await;
    }
    let (api, rights, services, urls, monitoring, database) = join!(
        api_server(&cluster),
        rights::checks(&cluster, &probe, (&config, &namespace)),
        services(&probe, &config, &namespace),
        urls(&config),
        monitoring(&probe, &config),
        database(&cluster, &config, &namespace),
    );
    let secrets = secrets(&config);
    let checks = [
        vec![api],
        rights,
        services,
        urls,
        monitoring,
        database,
        secrets,
    ]
    .concat();
    print(&checks, common.output);
    Ok(Verdict::of(&checks).into())
}

/// Prints what the tools need that read.
async fn grant(
    cluster: &Cluster,
    probe: &HttpProbe,
    (config, namespace): (&Config, &str),
    account: &Account,
) -> Result<Exit, Failure> {
    let needed = rights::all(cluster, probe, (config, namespace)).await;
    let needed = needed.map_err(|error| Failure {
        exit: Exit::Unknown,
        message: error.to_string(),
        hint: error.next_step().map(str::to_owned),
    })?;
    let text = rbac::manifest("chaos-read", (account, namespace), &needed);
    // A reader that closed early has what it wanted.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(Exit::Pass)
}

/// As a table, or each check as a JSON object. It is no record: it says nothing of health.
fn print(checks: &[Check], format: Option<Format>) {
    let text = if let Some(Format::Json) = format {
        let lines = checks
            .iter()
            .filter_map(|check| serde_json::to_string(check).ok());
        lines.fold(String::new(), |text, line| text + &line + "\n")
    } else {
        let (table, verdict) = (output::checks(checks), Verdict::of(checks).word());
        format!("{table}{verdict}  {}\n", summarize(checks))
    };
    // A reader that closed early is normal.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

async fn api_server(cluster: &Cluster) -> Check {
    const ID: &str = "access.cluster";
    match cluster.identity().await {
        Ok(found) => {
            let context = found.context.map(|context| format!(" (context {context})"));
            let message = format!("answers{}", context.unwrap_or_default());
            Check::pass(ID, &cluster.server, message)
        }
        Err(error) => error.check(ID, &cluster.server),
    }
}

/// Any answer shows that the way is open. One that does not let us in (401, 403) is none.
async fn ask(id: &str, probe: &HttpProbe, (endpoint, path): (&Endpoint, &str)) -> Check {
    let url = endpoint.url(path);
    let check = match probe.get_again(endpoint, path, LIMIT).await {
        Ok(answer) if matches!(answer.status, 401 | 403) => {
            let message = format!("answers {}: it does not accept who asks", answer.status);
            Check::fail(id, url, message)
        }
        Ok(answer) => Check::pass(id, url, format!("answers {}", answer.status)),
        Err(error) => Check::unknown(id, url, error.to_string()),
    };
    check.from_vantage(probe.vantage(endpoint))
}

async fn services(probe: &HttpProbe, config: &Config, namespace: &str) -> Vec<Check> {
    let asked = config.services.iter().map(|service| async {
        let endpoint = Endpoint::of_service(service, namespace);
        let data = service.data.first().map(|data| data.path.as_str());
        let timed = service.timed.first().map(String::as_str);
        if let Some(path) = service.health.as_deref().or(data).or(timed) {
            ask("access.service", probe, (&endpoint, path)).await
        } else {
            let why = "no path of it is configured";
            Check::skipped("access.service", endpoint.url(""), why)
        }
    });
    join_all(asked).await
}

async fn urls(config: &Config) -> Vec<Check> {
    const ID: &str = "access.url";
    let asked = config.urls.iter().map(|url| async move {
        let probe = match UrlProbe::new(url) {
            Ok(probe) => probe,
            Err(error) => return Check::unknown(ID, &url.url, error.to_string()),
        };
        match probe.get(LIMIT).await {
            Ok(answer) => Check::pass(ID, &url.url, format!("answers {}", answer.status)),
            Err(error) => Check::unknown(ID, &url.url, error.to_string()),
        }
    });
    join_all(asked).await
}

async fn monitoring(probe: &HttpProbe, config: &Config) -> Vec<Check> {
    const ID: &str = "access.monitoring";
    let Some(monitoring) = &config.monitoring else {
        return vec![Check::skipped(ID, "", "no monitoring is configured")];
    };
    let asked = monitoring.systems().map(|(name, system)| async move {
        let endpoint = Endpoint::of_monitoring(monitoring, system);
        let path = if name == "grafana" {
            "/api/health"
        } else {
            "/-/ready"
        };
        let check = ask(ID, probe, (&endpoint, path)).await;
        let key = format!("monitoring.{name}");
        if check.is_bad() && check.hint.is_none() {
            return check.hint(format!("{key} in chaos.toml says where it is and who asks"));
        }
        check
    });
    join_all(asked).await
}

async fn database(cluster: &Cluster, config: &Config, namespace: &str) -> Vec<Check> {
    const ID: &str = "access.database";
    let Some(database) = &config.database else {
        return vec![Check::skipped(ID, "", "no database is configured")];
    };
    let object = format!("{} in {}", database.name, database.place());
    let asked = async {
        let mut session = Session::open(cluster, namespace, database).await?;
        let sql = "SELECT current_user || ' of PostgreSQL ' || current_setting('server_version')";
        let said = session.query(sql).await?;
        Ok::<_, ReadError>((said, session.vantage().to_owned()))
    };
    vec![match asked.await {
        Ok((said, vantage)) => {
            let message = format!("lets us in as {}", said.concat());
            Check::pass(ID, object, message).from_vantage(vantage)
        }
        Err(error) => error.check(ID, object),
    }]
}

/// Whether the secrets are there that no other part has used. Those of `[notify]` are for
/// `chaos-notify test`, which sends one harmless message to every channel.
fn secrets(config: &Config) -> Vec<Check> {
    const ID: &str = "access.secret";
    let named: [(&str, Option<&Secret>); 2] = [
        ("s3.access_key", config.s3.access_key.as_ref()),
        ("s3.secret_key", config.s3.secret_key.as_ref()),
    ];
    let read = |(key, secret): (&str, Option<&Secret>)| {
        Some(match secret?.read() {
            Ok(_) => Check::pass(ID, key, "can be read"),
            Err(error) => Check::fail(ID, key, error.to_string()),
        })
    };
    named.into_iter().filter_map(read).collect()
}
