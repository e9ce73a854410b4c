//! The script is run: by shellcheck, and by a shell whose kubectl only tells what it was given.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::*;

/// Text that does harm where it is not quoted. `MARK` is a file that must not come to be.
const HARM: [&str; 6] = [
    "it's",
    "a\"b",
    "$(touch MARK)",
    "`touch MARK`",
    "x\ntouch MARK\n",
    "x; touch MARK # @@STEPS@@",
];

fn plan(text: &str) -> Plan {
    let object = json!({
        "api_version": "apps/v1", "kind": "Deployment", "resource": "deployments",
        "namespace": text, "name": text,
    });
    let workload = json!({ "kind": "Deployment", "namespace": text, "name": text });
    let radius = json!({ "workload": workload, "ready": 1, "hit": 1, "left": 0, "services": [] });
    let changes = json!([
        { "change": "set", "object": object, "field": ["spec", "replicas"],
          "original": text, "faulted": 0 },
        { "change": "make", "object": object, "manifest": {} },
    ]);
    serde_json::from_value(json!({
        "experiment": text, "cluster": { "server": text, "id": "c" }, "namespace": text,
        "targets": [], "calls": [], "undo": "", "undo_commands": [], "worst_case_ms": 0,
        "permissions": [], "checks": [], "blast_radius": [radius], "changes": changes,
    }))
    .expect("a plan")
}

fn contact(text: &str) -> Contact {
    Contact {
        role: text.to_owned(),
        name: text.to_owned(),
        phone: text.to_owned(),
    }
}

fn empty(plan: &Plan) -> Plan {
    Plan {
        changes: Vec::new(),
        blast_radius: Vec::new(),
        ..plan.clone()
    }
}

/// Runs the script with a kubectl that writes its arguments down, one a line in brackets.
fn run(folder: &Path, script: &str) -> String {
    let kubectl = folder.join("kubectl");
    let fake = "#!/bin/sh\nfor word in \"$@\"; do printf '[%s]\\n' \"$word\"; done >>\"$LOG\"\n\
                echo some-run\n";
    std::fs::write(&kubectl, fake).expect("it can be written");
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&kubectl, executable).expect("it is ours");
    std::fs::write(folder.join("rollback.sh"), script).expect("it can be written");
    let log = folder.join("log");
    let status = Command::new("sh")
        .args(["rollback.sh", "--emergency"])
        .current_dir(folder)
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .env("LOG", &log)
        .status();
    assert!(status.expect("a shell").success(), "{script}");
    std::fs::read_to_string(&log).unwrap_or_default()
}

#[test]
fn nothing_in_a_value_is_executed_and_kubectl_gets_it_as_it_is() {
    for harm in HARM {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("mark");
        let text = harm.replace("MARK", &mark.display().to_string());
        let script = rollback(&plan(&text), &[contact(&text)]);
        let given = run(folder.path(), &script);
        assert!(!mark.exists(), "{script}");
        assert!(given.contains(&format!("[deployment/{text}]\n")), "{given}");
        assert!(
            given.contains(&format!("[{EXPERIMENT_LABEL}={text}]\n")),
            "{given}"
        );
    }
}

#[test]
fn single_commands_are_quoted_too() {
    for harm in HARM {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("mark");
        let text = harm.replace("MARK", &mark.display().to_string());
        let plan = plan(&text);
        let given = run(
            folder.path(),
            &undo(&plan.changes, &plan.blast_radius).join("\n"),
        );
        assert!(!mark.exists(), "{given}");
        assert!(given.contains(&format!("[deployment/{text}]\n")), "{given}");
    }
}

#[test]
fn shellcheck_has_nothing_to_say() {
    if Command::new("shellcheck")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!("shellcheck is not installed: not checked");
        return;
    }
    for text in ["storage-failure"].iter().chain(&HARM) {
        for plan in [plan(text), empty(&plan(text))] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("rollback.sh");
            let contacts = [contact(text)];
            std::fs::write(&path, rollback(&plan, &contacts)).expect("it can be written");
            // What people wrote may look like a mistake, for example '$(…)' in single quotes.
            let check = Command::new("shellcheck")
                .args(["--exclude=SC2016,SC2317"])
                .arg(&path)
                .output()
                .expect("it is installed");
            let said = String::from_utf8_lossy(&check.stdout);
            assert!(check.status.success(), "{said}");
        }
    }
}

#[test]
fn plain_words_stay_as_they_are() {
    assert_eq!(word("deployment/shop"), "deployment/shop");
    assert_eq!(word(""), "''");
    assert_eq!(word("it's"), r"'it'\''s'");
    let script = rollback(&plan("shop"), &[]);
    assert!(script.contains("\nstep kubectl delete lease chaos-deployment-shop -n shop "));
    assert!(script.contains("#   none is configured\n"));
    assert!(!script.contains("@@"));
}
