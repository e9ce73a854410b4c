//! A workload of the application and what it is for.

use schemars::JsonSchema;
use serde::Deserialize;

use super::LogPatterns;
use super::misfit::Misfit;
use crate::record::{PodSource, WorkloadNameError, WorkloadRef};

/// `[[workload]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
#[schemars(with = "Written")]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// `Deployment`, `StatefulSet` or `DaemonSet`; of a custom resource `KIND.GROUP`.
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
    /// `Deployment` (default), `StatefulSet` or `DaemonSet`, or in kubectl's short names; `KIND.GROUP`
    /// for a custom resource with the subresource `scale`.
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

impl Workload {
    /// As everything else names it.
    ///
    /// # Panics
    /// If it was not read from a configuration, and has a kind that there is not.
    pub fn source(&self) -> PodSource {
        let named = format!("{}/{}", self.kind, self.name);
        named.parse().expect("it was named so when it was read")
    }

    /// Whether it is this one, in whatever namespace.
    pub fn is(&self, workload: &WorkloadRef) -> bool {
        self.source().is(workload)
    }
}

impl TryFrom<Written> for Workload {
    type Error = Misfit;

    fn try_from(written: Written) -> Result<Workload, Misfit> {
        let wrong = |error: WorkloadNameError| Misfit::new(error.to_string());
        let bare = !written.name.contains('/');
        let named = match &written.kind {
            Some(kind) if bare => format!("{kind}/{}", written.name),
            _ => written.name.clone(),
        };
        let named: PodSource = named.parse().map_err(wrong)?;
        let (kind, name) = match &named {
            PodSource::Workload(workload) => (workload.kind.name().to_owned(), &workload.name),
            PodSource::Custom(custom) => {
                (format!("{}.{}", custom.kind, custom.group), &custom.name)
            }
            PodSource::Labels(_) => {
                let why = "labels name no workload: write deployment/NAME";
                return Err(Misfit::new(why.to_owned()));
            }
        };
        if let Some(second) = written.kind.filter(|_| !bare) {
            let second: PodSource = format!("{second}/{name}").parse().map_err(wrong)?;
            if second != named {
                let why = format!("{named} is no {second}: leave kind out");
                return Err(Misfit::new(why));
            }
        }
        Ok(Workload {
            name: name.clone(),
            kind,
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
        let rollout = Ok(("rollout.argoproj.io".to_owned(), "shop".to_owned()));
        assert_eq!(read("name = \"rollout.argoproj.io/shop\""), rollout);
        let split = "name = \"shop\"\nkind = \"rollout.argoproj.io\"";
        assert_eq!(read(split), rollout);
        assert!(read("name = \"selector=app=db\"").is_err());
        let wrong = read("name = \"db\"\nkind = \"Pod\"").expect_err("no workload");
        assert!(wrong.contains("\"Pod\" is no workload"), "{wrong}");
        let torn = read("name = \"sts/db\"\nkind = \"Deployment\"").expect_err("torn");
        assert!(torn.contains("leave kind out"), "{torn}");
    }
}
