//! The real cluster and the sample shop in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::run::{self, PATIENCE, Place};
use crate::schedule::{Hold, Needs, SHOPS};

/// The namespaces of the shop and its monitoring, as the runbook calls them.
const NAMESPACES: [&str; 2] = ["ecommerce-production", "monitoring"];
/// What the names of other namespaces begin with that tests put things into.
const OWN: [&str; 4] = ["chaos-test-", "chaos-sweep-", "acme", "observability"];

/// The namespaces of a copy of the shop; the first has the runbook's names.
fn namespaces(shop: usize) -> [String; 2] {
    NAMESPACES.map(|name| match shop {
        0 => name.to_owned(),
        n => format!("{name}-{}", n + 1),
    })
}

/// The cluster that `make test` brought up, and a place with its configuration.
#[derive(Debug)]
pub struct Cluster {
    /// Home, configuration and state of this test.
    pub place: Place,
    kubeconfig: PathBuf,
    shop: Option<[String; 2]>,
}

impl Cluster {
    /// The cluster, for a test with a namespace of its own.
    pub fn new() -> Cluster {
        Cluster::needing(Needs::cluster())
    }

    /// The cluster with a copy of the shop, and the runbook's configuration for it as `chaos.toml`
    /// in a place of the test's own.
    pub fn with_shop() -> Cluster {
        Cluster::needing(Needs::shop())
    }

    /// The cluster, once the test can have all that it needs.
    pub fn needing(needs: Needs) -> Cluster {
        let place = Place::needing(needs);
        let shop = place.hold().and_then(Hold::shop).map(namespaces);
        Cluster::at(place, shop)
    }

    /// The same cluster, and the shop that this test has, seen from another machine: no state, no
    /// journal.
    #[must_use]
    pub fn elsewhere(&self) -> Cluster {
        let ours = [self.shop().to_owned(), self.monitoring().to_owned()];
        Cluster::at(Place::new(), Some(ours))
    }

    /// The cluster for a part of a test that has taken what it needs.
    pub(crate) fn of_a_part() -> Cluster {
        Cluster::at(Place::new(), None)
    }

    fn at(place: Place, shop: Option<[String; 2]>) -> Cluster {
        let kubeconfig = std::env::var_os("CHAOS_TEST_KUBECONFIG")
            .expect("CHAOS_TEST_KUBECONFIG names the cluster; make test sets it");
        let place = place.env("KUBECONFIG", &kubeconfig);
        let cluster = Cluster {
            place,
            kubeconfig: kubeconfig.into(),
            shop,
        };
        cluster.config(&|text| text);
        cluster
    }

    /// Namespace of the shop.
    pub fn shop(&self) -> &str {
        &self.shop.as_ref().expect("the test needs a shop")[0]
    }

    /// Namespace of the shop's monitoring.
    pub fn monitoring(&self) -> &str {
        &self.shop.as_ref().expect("the test needs a shop")[1]
    }

    /// Whether other tests may put things into this namespace meanwhile.
    pub fn is_of_others(&self, namespace: &str) -> bool {
        let own = self.shop.iter().flatten().any(|name| name == namespace);
        let of_a_shop = (0..SHOPS)
            .flat_map(namespaces)
            .any(|name| name == namespace);
        !own && (of_a_shop || OWN.iter().any(|start| namespace.starts_with(start)))
    }

    /// Writes `chaos.toml` again: the runbook's, with the paths of this place and the namespaces of
    /// its shop, and what `change` makes of it.
    pub fn config(&self, change: &dyn Fn(String) -> String) {
        let root = repository();
        let mut text = std::fs::read_to_string(root.join("scripts/ecommerce.toml"))
            .expect("the example is there");
        for (name, own) in NAMESPACES.iter().zip(self.shop.iter().flatten()) {
            text = text.replace(&format!("\"{name}\""), &format!("\"{own}\""));
        }
        // The node is this whole machine, busy with these very tests.
        let text = text
            .replace("\"/backup/", "\"backup/")
            .replace("\"/tmp/experiment-reports\"", "\"reports\"")
            // On processors that others use, endpoints are withdrawn late and answers come late. How
            // available the shop is then says nothing of the tools; what they make of it is tested
            // with figures that are made up.
            .replace(
                "min_availability_percent = 99.0",
                "min_availability_percent = 30.0",
            )
            // And it asks late: a question is left out once the next one is due.
            .replace("probe_interval = \"100ms\"", "probe_interval = \"300ms\"")
            .replace("node_cpu_percent = 90.0", "node_cpu_percent = 110.0")
            // Busy with more than these, it may stand still for some seconds, and the shop with it.
            .replace("guard_percent = 50.0", "guard_percent = 20.0")
            .replace("guard_window = \"10s\"", "guard_window = \"60s\"")
            // It is smaller than a real one, and nobody waits here for half a minute.
            .replace("image = \"stress:latest\"", "image = \"chaos.test/shop:1\"")
            .replace("command = [] ", "command = [\"stress\"] ")
            .replace("cpu_workers = 4", "cpu_workers = 1")
            .replace("memory_mib = 256", "memory_mib = 32")
            .replace("cpu_request = \"2\"", "cpu_request = \"200m\"")
            .replace("cpu_limit = \"4\"", "cpu_limit = \"500m\"")
            .replace("memory_request = \"2Gi\"", "memory_request = \"64Mi\"")
            .replace("memory_limit = \"4Gi\"", "memory_limit = \"256Mi\"")
            .replace("\nduration = \"30s\"", "\nduration = \"4s\"")
            .replace("\nduration = \"1m\"", "\nduration = \"4s\"")
            .replace("\nduration = \"10s\"", "\nduration = \"3s\"");
        self.place.file("chaos.toml", &change(text));
    }

    /// The state folder of the cluster: keys, logs.
    pub fn state(&self) -> PathBuf {
        self.kubeconfig
            .parent()
            .expect("a kubeconfig is in a folder")
            .to_owned()
    }

    /// kubectl's output.
    #[track_caller]
    pub fn kubectl(&self, args: &[&str]) -> String {
        let output = kubectl_command()
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(args)
            .output()
            .expect("kubectl was built");
        assert!(
            output.status.success(),
            "kubectl {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The folder that kubectl is in.
    pub fn kubectl_folder(&self) -> String {
        let program = PathBuf::from(kubectl_command().get_program());
        program
            .parent()
            .map(|folder| folder.display().to_string())
            .unwrap_or_default()
    }

    /// kubectl's output, with a file on its standard input.
    #[track_caller]
    pub fn kubectl_fed(&self, file: &Path, args: &[&str]) -> String {
        let input = std::fs::File::open(file).expect("the file is there");
        let mut command = kubectl_command();
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(args)
            .stdin(input);
        let output = command.output().expect("kubectl was built");
        assert!(
            output.status.success(),
            "kubectl {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// kubectl apply.
    pub fn apply(&self, yaml: &str) {
        let path = self.place.file("apply.yaml", yaml);
        self.kubectl(&["apply", "-f", &path.display().to_string()]);
    }

    /// Waits for a namespace that is on its way out: it would take a new one's objects with it.
    pub(crate) fn gone(&self, namespace: &str) {
        let name = format!("namespace/{namespace}");
        let phase = "jsonpath={.status.phase}";
        if self.kubectl(&["get", &name, "--ignore-not-found", "-o", phase]) == "Terminating" {
            self.kubectl(&["wait", "--for=delete", &name, "--timeout=240s"]);
        }
    }

    /// Names of the shop's pods of an `app` label, sorted.
    pub fn pods(&self, app: &str) -> Vec<String> {
        let names = self.kubectl(&[
            "get",
            "pods",
            "-n",
            self.shop(),
            "-l",
            &format!("app={app}"),
            "-o",
            "jsonpath={.items[*].metadata.name}",
        ]);
        let mut names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// A script of `tests/shop/` for the shop of this test.
    pub fn script(&self, name: &str) -> Command {
        let mut command = Command::new(repository().join("tests/shop").join(name));
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("SHOP_NAMESPACE", self.shop())
            .env("SHOP_MONITORING", self.monitoring())
            .env("SHOP_TIMEOUT", PATIENCE.as_secs().to_string())
            .env_remove("CONTEXT");
        command
    }

    /// Waits until the shop is whole, repairing it if it must be.
    pub fn whole(&self) {
        let output = self.script("up.sh").output().expect("bash is there");
        assert!(
            output.status.success(),
            "the shop is not whole: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// What the audit log says since a mark: requests that change something, but for reviews, which
    /// only ask, and for namespaces that other tests work in.
    pub fn writes_since(&self, mark: u64) -> Vec<String> {
        // The log is written within milliseconds of the answer.
        std::thread::sleep(Duration::from_millis(500));
        let log =
            std::fs::read(self.state().join("logs/audit.log")).expect("the audit log is there");
        let from = usize::try_from(mark).expect("a log fits into memory");
        let text = String::from_utf8_lossy(&log[from..]).into_owned();
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let writes = events.filter(|event| {
            let verb = event["verb"].as_str().unwrap_or_default();
            let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
            let agent = event["userAgent"].as_str().unwrap_or_default();
            let namespace = event["objectRef"]["namespace"].as_str().unwrap_or_default();
            let request = event["requestURI"].as_str().unwrap_or_default();
            !self.is_of_others(namespace)
                && matches!(
                    verb,
                    "create" | "update" | "patch" | "delete" | "deletecollection"
                )
                && !resource.ends_with("reviews")
                && !request.contains("dryRun=All")
                && !matches!(
                    event["objectRef"]["subresource"].as_str(),
                    Some("exec" | "portforward")
                )
                && !agent.starts_with("kubectl")
                && !agent.starts_with("kube")
                && event["stage"] == "ResponseComplete"
        });
        writes
            .map(|event| {
                format!(
                    "{} {} by {}",
                    event["verb"], event["requestURI"], event["userAgent"]
                )
            })
            .collect()
    }

    /// A mark in the audit log for [`Cluster::writes_since`].
    pub fn mark(&self) -> u64 {
        std::thread::sleep(Duration::from_millis(300));
        std::fs::metadata(self.state().join("logs/audit.log"))
            .expect("the audit log is there")
            .len()
    }

    /// Runs a tool until its outcome is as wanted, for states that take a moment to show.
    #[track_caller]
    pub fn until<T>(&self, what: &str, done: impl FnMut() -> Option<T>) -> T {
        run::until(what, done)
    }

    /// A kubeconfig of a ServiceAccount, by a token of its own.
    pub fn as_account(&self, namespace: &str, name: &str) -> String {
        let token = self.kubectl(&["create", "token", name, "-n", namespace]);
        let flat = self.kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"]);
        let mut config: Value = serde_json::from_str(&flat).expect("a kubeconfig");
        config["users"][0]["user"] = serde_json::json!({ "token": token.trim() });
        let file = format!("account-{namespace}-{name}.json");
        let path = self.place.file(&file, &config.to_string());
        path.display().to_string()
    }

    /// A kubeconfig whose user acts as another one, who may do nothing but what it is given.
    pub fn as_user(&self, user: &str) -> String {
        let flat = self.kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"]);
        let mut config: Value = serde_json::from_str(&flat).expect("a kubeconfig");
        config["users"][0]["user"]["as"] = user.into();
        self.place
            .file(&format!("as-{user}.json"), &config.to_string())
            .display()
            .to_string()
    }
}

/// A namespace of a test's own, gone with this.
#[derive(Debug)]
pub struct OwnNamespace<'c> {
    cluster: &'c Cluster,
    /// Its name.
    pub name: &'static str,
}

impl OwnNamespace<'_> {
    /// Makes it.
    pub fn new<'c>(cluster: &'c Cluster, name: &'static str) -> OwnNamespace<'c> {
        assert!(OWN.iter().any(|start| name.starts_with(start)), "{name}");
        cluster.gone(name);
        cluster.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"
        ));
        OwnNamespace { cluster, name }
    }
}

impl Drop for OwnNamespace<'_> {
    fn drop(&mut self) {
        let delete = ["delete", "namespace", self.name, "--ignore-not-found"];
        self.cluster
            .kubectl(&[&delete[..], &["--wait=false"]].concat());
    }
}

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster::new()
    }
}

/// The folder of the repository.
pub fn repository() -> PathBuf {
    // What was compiled for another checkout is taken for this one by cargo, so that what the
    // compiler knew says nothing; tests are run in the folder of their package.
    std::env::current_dir()
        .expect("a folder that is there")
        .parent()
        .expect("tests/ is in the repository")
        .to_owned()
}

/// The folder of what was compiled for the tests.
pub fn cache() -> PathBuf {
    let cache = std::env::var_os("CHAOS_CACHE").map(PathBuf::from);
    let home =
        std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/chaos-runbook"));
    cache.or(home).unwrap_or_default()
}

/// kubectl as it was built for the cluster, else the one in PATH.
pub fn kubectl_command() -> Command {
    let built = cache().join("bin/kubectl");
    let mut command = Command::new(if built.exists() {
        built
    } else {
        "kubectl".into()
    });
    command.env(
        "KUBECACHEDIR",
        std::env::temp_dir().join("chaos-tests-kubectl"),
    );
    // It is started two thousand times, and ends before collecting garbage would be worth it.
    command.env("GOGC", "off");
    command
}
