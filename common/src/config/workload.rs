//! A workload of the application and what it is for.

use schemars::JsonSchema;
use serde::Deserialize;

use super::LogPatterns;
use super::misfit::Misfit;
use crate::record::{WorkloadKind, WorkloadName};

/// `[[workload]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
#[schemars(with = "Written")]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// `Deployment`, `StatefulSet` or `DaemonSet`.
    pub kind: String,
    /// What it is for: `frontend`, `backend`, `database` or another word. Shown in reports. One that
    /// is for `database` or `monitoring` holds data, which is not lost unasked.
    pub role: String,
    /// Whether its logs are searched for lines that tell of errors after an experiment, and for
    /// which.
    pub logs: LogPatterns,
}

/// `[[workload]]` as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Its name; `statefulset/NAME` says its kind, too.
    name: String,
    /// `Deployment` (default), `StatefulSet` or `DaemonSet`, or in kubectl's short names.
    #[serde(default)]
    kind: Option<String>,
    /// What it is for: `frontend`, `backend`, `database` or another word. Shown in reports. One that
    /// is for `database` or `monitoring` holds data, which is not lost unasked.
    #[serde(default)]
    role: String,
    /// Whether its logs are searched for lines that tell of errors after an experiment, and for
    /// which.
    #[serde(default)]
    logs: LogPatterns,
}

impl TryFrom<Written> for Workload {
    type Error = Misfit;

    fn try_from(written: Written) -> Result<Workload, Misfit> {
        let wrong = |error: &dyn std::fmt::Display| Misfit::new(error.to_string());
        let named: WorkloadName = written.name.parse().map_err(|error| wrong(&error))?;
        let kind = match written.kind {
            None => named.kind,
            Some(kind) => {
                let kind: WorkloadKind = kind.parse().map_err(|error| wrong(&error))?;
                if written.name.contains('/') && kind != named.kind {
                    let why = format!("{} is no {}: leave kind out", named, kind.name());
                    return Err(Misfit::new(why));
                }
                kind
            }
        };
        Ok(Workload {
            name: named.name,
            kind: kind.name().to_owned(),
            role: written.role,
            logs: written.logs,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, String), String> {
        let read = toml::from_str::<Workload>(text);
        read.map(|workload| (workload.kind, workload.name))
            .map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_workload_is_named_in_each_of_kubectls_ways() {
        let set = Ok(("StatefulSet".to_owned(), "db".to_owned()));
        assert_eq!(read("name = \"db\"\nkind = \"StatefulSet\""), set);
        assert_eq!(read("name = \"db\"\nkind = \"sts\""), set);
        assert_eq!(read("name = \"sts/db\""), set);
        let plain = Ok(("Deployment".to_owned(), "web".to_owned()));
        assert_eq!(read("name = \"web\""), plain);
        let wrong = read("name = \"db\"\nkind = \"Pod\"").expect_err("no workload");
        assert!(wrong.contains("\"Pod\" is no workload"), "{wrong}");
        let torn = read("name = \"sts/db\"\nkind = \"Deployment\"").expect_err("torn");
        assert!(torn.contains("leave kind out"), "{torn}");
    }
}
