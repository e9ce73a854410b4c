//! The way to the API server, as kubectl goes it: through proxies, with credentials that a plugin gives,
//! below a path, by another name, and as somebody else.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chaos_tests::cluster::Cluster;
use chaos_tests::run::{Place, check};
use serde_json::{Value, json};

/// Reads a client's wish, and says that it is granted; gives the address to connect to.
type Greeting = Arc<dyn Fn(&mut TcpStream) -> io::Result<String> + Send + Sync>;

/// A proxy on the loopback that counts those who come.
struct Proxy {
    port: u16,
    served: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(greeting: Greeting) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let served = Arc::new(AtomicUsize::new(0));
        let count = served.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (count, greeting) = (count.clone(), greeting.clone());
                // A client that goes away is its own business.
                thread::spawn(move || serve(client, &greeting, &count));
            }
        });
        Proxy { port, served }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

fn serve(mut client: TcpStream, greeting: &Greeting, count: &AtomicUsize) -> io::Result<()> {
    let server = TcpStream::connect(greeting(&mut client)?)?;
    count.fetch_add(1, Ordering::SeqCst);
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to));
    io::copy(&mut &server, &mut client)?;
    Ok(())
}

/// `CONNECT HOST:PORT`.
fn http(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(client)?);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let head = String::from_utf8_lossy(&head).into_owned();
    Ok(head
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_owned())
}

/// RFC 1928, without authentication.
fn socks(client: &mut TcpStream) -> io::Result<String> {
    byte(client)?;
    for _ in 0..byte(client)? {
        byte(client)?;
    }
    client.write_all(&[5, 0])?;
    let [.., kind] = bytes::<4>(client)?;
    let host = if kind == 1 {
        bytes::<4>(client)?.map(|part| part.to_string()).join(".")
    } else {
        let name: io::Result<Vec<u8>> = (0..byte(client)?).map(|_| byte(client)).collect();
        String::from_utf8_lossy(&name?).into_owned()
    };
    let port = u16::from_be_bytes(bytes::<2>(client)?);
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok(format!("{host}:{port}"))
}

fn byte(client: &mut TcpStream) -> io::Result<u8> {
    bytes::<1>(client).map(|[byte]| byte)
}

fn bytes<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A kubeconfig that is changed, by its path.
fn kubeconfig(cluster: &Cluster, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let flat = cluster.kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&flat).expect("a kubeconfig");
    change(&mut config);
    let path = cluster.place.file(name, &config.to_string());
    path.display().to_string()
}

/// Host and port of the API server.
fn address(cluster: &Cluster) -> String {
    let server = "jsonpath={.clusters[0].cluster.server}";
    let server = cluster.kubectl(&["config", "view", "-o", server]);
    let address = server.strip_prefix("https://").expect("an address");
    address.trim_end_matches('/').to_owned()
}

/// What the check says of whether the API server is reached.
fn reachable(place: &Place, kubeconfig: &str) -> Value {
    let args = ["-n", "kube-system", "--kubeconfig", kubeconfig];
    let record = place.tool("chaos-health", &args).record("chaos.health/1");
    check(&record, "cluster.reachable", "").clone()
}

/// The API server is reached.
fn is_reached(place: &Place, kubeconfig: &str) {
    let check = reachable(place, kubeconfig);
    assert_eq!(check["status"], "pass", "{check}");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_api_server_is_reached_through_the_proxy_that_is_named() {
    let cluster = Cluster::new();
    let greetings: [(&str, Greeting); 2] = [("http", Arc::new(http)), ("socks5", Arc::new(socks))];
    for (scheme, greeting) in greetings {
        let proxy = Proxy::start(greeting);
        let url = proxy.url(scheme);
        let name = format!("{scheme}.json");
        let named = kubeconfig(&cluster, &name, |config| {
            config["clusters"][0]["cluster"]["proxy-url"] = url.clone().into();
        });
        is_reached(&cluster.place, &named);
        assert!(proxy.served() > 0, "{scheme}: nobody came");
    }
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_proxy_of_the_environment_is_taken_but_for_what_it_excepts() {
    let cluster = Cluster::new();
    let proxy = Proxy::start(Arc::new(http));
    let plain = kubeconfig(&cluster, "plain.json", |_| {});
    let through = || Place::new().env("HTTPS_PROXY", proxy.url("http"));
    is_reached(&through(), &plain);
    let before = proxy.served();
    assert!(before > 0, "nobody came");
    let address = address(&cluster);
    let (host, _) = address.split_once(':').expect("host and port");
    is_reached(&through().env("NO_PROXY", host), &plain);
    assert_eq!(proxy.served(), before);
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_tools_act_as_whom_they_are_told_to() {
    let cluster = Cluster::new();
    // The kubeconfig says somebody, the flag says somebody else.
    let named = cluster.as_user("somebody");
    let args = ["-n", "kube-system", "--kubeconfig", &named];
    let flags = ["--as", "nobody", "--as-group", "system:masters"];
    let may_read = |args: &[&str]| {
        let ran = cluster.place.tool("chaos-health", args);
        check(&ran.record("chaos.health/1"), "namespace.exists", "")["status"].clone()
    };
    assert_eq!(may_read(&args), "unknown");
    assert_eq!(may_read(&[&args[..], &flags[..]].concat()), "pass");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_credential_plugin_is_run_and_one_that_is_missing_is_named() {
    let cluster = Cluster::new();
    let plugin = |config: &mut Value, command: &str| {
        config["users"][0]["user"] = json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": command,
            "interactiveMode": "Never",
        } });
    };
    let missing = kubeconfig(&cluster, "missing.json", |config| {
        plugin(config, "aws-iam-authenticator-of-nobody");
    });
    let args = ["-n", "kube-system", "--kubeconfig", &missing];
    let ran = cluster.place.tool("chaos-health", &args).exits(2);
    ran.says("the credential plugin \"aws-iam-authenticator-of-nobody\"");

    let mut own = Value::Null;
    kubeconfig(&cluster, "own.json", |config| {
        own = config["users"][0]["user"].clone();
    });
    let data = |key: &str| {
        let coded = own[key].as_str().expect("a certificate");
        let bytes = BASE64_STANDARD.decode(coded).expect("base64");
        String::from_utf8(bytes).expect("PEM")
    };
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {
            "clientCertificateData": data("client-certificate-data"),
            "clientKeyData": data("client-key-data"),
        },
    });
    let given = cluster
        .place
        .file("credential.json", &credential.to_string());
    let script = format!("#!/bin/sh\ncat {}\n", given.display());
    let program = cluster.place.file("plugin", &script);
    let may_run = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, may_run).expect("ours");
    let works = kubeconfig(&cluster, "works.json", |config| {
        plugin(config, &program.display().to_string());
    });
    is_reached(&cluster.place, &works);
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_name_in_the_certificate_may_be_another_than_that_of_the_address() {
    let cluster = Cluster::new();
    // Whatever it is asked for, this proxy leads to the API server.
    let server = address(&cluster);
    let proxy = Proxy::start(Arc::new(move |client: &mut TcpStream| {
        http(client).map(|_| server.clone())
    }));
    let by_name = |file: &str, name: Option<&str>| {
        kubeconfig(&cluster, file, |config| {
            let cluster = &mut config["clusters"][0]["cluster"];
            cluster["server"] = "https://kubernetes.example.com:6443".into();
            cluster["proxy-url"] = proxy.url("http").into();
            cluster["tls-server-name"] = json!(name);
        })
    };
    is_reached(
        &cluster.place,
        &by_name("named.json", Some("kubernetes.default.svc")),
    );
    let unnamed = reachable(&cluster.place, &by_name("unnamed.json", None));
    assert_eq!(unnamed["status"], "unknown", "{unnamed}");
    assert!(
        unnamed["message"].to_string().contains("certificate"),
        "{unnamed}"
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn an_api_server_below_a_path_is_reached_there() {
    let cluster = Cluster::new();
    // As gateways of several clusters have it.
    let mut command = Command::new(format!("{}/kubectl", cluster.kubectl_folder()));
    command
        .arg("--kubeconfig")
        .arg(cluster.state().join("admin.kubeconfig"))
        .args(["proxy", "--port=0", "--api-prefix=/k8s/clusters/c-1/"])
        .stdout(Stdio::piped());
    let mut gateway = Gateway(command.spawn().expect("kubectl was built"));
    let mut told = String::new();
    let stdout = gateway.0.stdout.take().expect("it is piped");
    BufReader::new(stdout).read_line(&mut told).expect("a line");
    let port = told.trim().rsplit(':').next().expect("an address");
    let below = kubeconfig(&cluster, "below.json", |config| {
        let url = format!("http://127.0.0.1:{port}/k8s/clusters/c-1");
        config["clusters"][0]["cluster"] = json!({ "server": url });
        config["users"][0]["user"] = json!({});
    });
    is_reached(&cluster.place, &below);
    let args = ["-n", "kube-system", "--kubeconfig", &below];
    let ran = cluster.place.tool("chaos-health", &args);
    let pods = check(&ran.record("chaos.health/1"), "namespace.exists", "")["status"].clone();
    assert_eq!(pods, "pass", "{}", ran.show());
}

/// It ends with the test.
struct Gateway(Child);

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
