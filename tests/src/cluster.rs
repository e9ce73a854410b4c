//! The real cluster and the sample shop in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::Place;

/// Namespace of the shop.
pub const SHOP: &str = "ecommerce-production";

/// The cluster that `make test` brought up, and a place with its configuration.
#[derive(Debug)]
pub struct Cluster {
    /// Home, configuration and state of this test.
    pub place: Place,
    kubeconfig: PathBuf,
}

impl Cluster {
    /// The cluster, with the runbook's configuration as `chaos.toml` in a place of the test's own.
    pub fn new() -> Cluster {
        let kubeconfig = std::env::var_os("CHAOS_TEST_KUBECONFIG")
            .expect("CHAOS_TEST_KUBECONFIG names the cluster; make test sets it");
        let place = Place::new().env("KUBECONFIG", &kubeconfig);
        let cluster = Cluster {
            place,
            kubeconfig: kubeconfig.into(),
        };
        cluster.config(&|text| text);
        cluster
    }

    /// Writes `chaos.toml` again: the runbook's, with the paths of this place, and what `change`
    /// makes of it.
    pub fn config(&self, change: &dyn Fn(String) -> String) {
        let root = repository();
        let text = std::fs::read_to_string(root.join("scripts/ecommerce.toml"))
            .expect("the example is there");
        // The node is this whole machine, busy with these very tests.
        let text = text
            .replace("\"/backup/", "\"backup/")
            .replace("\"/tmp/experiment-reports\"", "\"reports\"")
            .replace("node_cpu_percent = 90.0", "node_cpu_percent = 110.0")
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

    /// Names of the pods of an `app` label, sorted.
    pub fn pods(&self, app: &str) -> Vec<String> {
        let names = self.kubectl(&[
            "get",
            "pods",
            "-n",
            SHOP,
            "-l",
            &format!("app={app}"),
            "-o",
            "jsonpath={.items[*].metadata.name}",
        ]);
        let mut names: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Waits until the shop is whole, repairing it if it must be.
    pub fn whole(&self) {
        let script = repository().join("tests/shop/up.sh");
        let output = Command::new(script)
            .env("KUBECONFIG", &self.kubeconfig)
            .env_remove("CONTEXT")
            .output()
            .expect("bash is there");
        assert!(
            output.status.success(),
            "the shop is not whole: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// What the audit log says since a mark: requests that change something, but for reviews, which
    /// only ask.
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
            matches!(
                verb,
                "create" | "update" | "patch" | "delete" | "deletecollection"
            ) && !resource.ends_with("reviews")
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
    pub fn until<T>(&self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(90);
        loop {
            if let Some(ran) = done() {
                return ran;
            }
            assert!(Instant::now() < end, "{what} did not come about");
            std::thread::sleep(Duration::from_millis(200));
        }
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

impl Default for Cluster {
    fn default() -> Cluster {
        Cluster::new()
    }
}

/// The folder of the repository.
pub fn repository() -> PathBuf {
    // What was compiled for another checkout is taken for this one by cargo, which says where it
    // is.
    let tests =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(tests)
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
    command
}
