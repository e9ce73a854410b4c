//! What is handed out is the same, byte for byte, whoever packs it, where and when; and it holds
//! what it says.

use std::path::Path;

use chaos_tests::cluster::repository;
use chaos_tests::run::Place;

/// What stands for a tool: how large the programs are makes no difference here.
const STAND_IN: &str = r#"
#include <stdio.h>
#include <stdlib.h>
int main(int words, char **word) {
    char line[4096];
    if (words != 3) return 0;
    snprintf(line, sizeof line, "mkdir -p %s/man/man1 && echo .TH x 1 >%s/man/man1/x.1",
             word[2], word[2]);
    return system(line);
}
"#;

/// A place with six small programs in `programs`.
fn place() -> Place {
    let place = Place::new();
    place.file("stand-in.c", STAND_IN);
    let copies = super::TOOLS.map(|tool| format!("cp stand-in programs/{tool}"));
    let make = "mkdir programs && gcc -o stand-in stand-in.c";
    place
        .shell(&format!("{make} && {}", copies.join(" && ")))
        .exits(0);
    let programs = place.path().join("programs");
    place
        .env("PROGRAMS", programs)
        .env("SOURCE_DATE_EPOCH", "1700000000")
}

fn script(name: &str) -> String {
    repository()
        .join("scripts")
        .join(name)
        .display()
        .to_string()
}

fn same_in_two_places(call: &str) -> (Place, Place) {
    let [here, there] = [place(), place()];
    let run = |place: &Place, umask: &str| {
        place
            .shell(&format!("umask {umask}\nDIST=dist {call}"))
            .exits(0);
    };
    run(&here, "022");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    run(&there, "077");
    let sums = |place: &Place| {
        let file = place.path().join("dist/SHA256SUMS");
        std::fs::read_to_string(file).expect("checksums")
    };
    assert_eq!(sums(&here), sums(&there));
    here.shell("cd dist && sha256sum --check --strict SHA256SUMS")
        .exits(0);
    (here, there)
}

#[test]
fn tarball_and_package_are_the_same_wherever_they_are_packed() {
    let (place, _) = same_in_two_places(&format!("{} tarball package", script("dist.sh")));
    place.shell("mkdir tarball && tar -C tarball --strip-components=2 -xf dist/*.tar.xz");
    let unpacked = place.path().join("tarball");
    for file in ["bin/chaos-health", "share/chaos-runbook/ecommerce.toml"] {
        assert!(unpacked.join(file).is_file(), "{file}");
    }
    let fields = place
        .shell("dpkg-deb --info dist/*.deb")
        .exits(0)
        .prints("Package: chaos-runbook");
    let fields = fields.prints("Depends: libc6 (>= 2.");
    let version = env!("CARGO_PKG_VERSION");
    fields.prints(&format!("Version: {version}"));
    place.shell("dpkg-deb -x dist/*.deb package && dpkg-deb --control dist/*.deb control");
    let package = place.path().join("package/usr");
    for file in [
        "bin/chaos-report",
        "bin/kubectl-chaos-backup_check",
        "share/chaos-runbook/scripts/experiment.sh",
        "share/doc/chaos-runbook/copyright",
        "share/doc/chaos-runbook/changelog.gz",
        "share/man/man1/x.1.gz",
    ] {
        assert!(package.join(file).is_file(), "{file}");
    }
    place
        .shell("cd package && md5sum --quiet --check ../control/md5sums")
        .exits(0);
    let owners = place.shell("dpkg-deb --contents dist/*.deb | grep -v root/root");
    assert_eq!(owners.stdout(), "", "{}", owners.show());
}

#[test]
fn the_image_is_the_same_wherever_it_is_packed_and_holds_nothing_else() {
    let (place, _) = same_in_two_places(&script("image.sh"));
    let list = "mkdir all && tar -C all -xf dist/*.tar && \
        tar -tzf all/$(jq -r '.[0].Layers[0]' all/manifest.json) | grep -v '/$'";
    let files = place.shell(list).exits(0).stdout();
    let is_known = |file: &&str| {
        let file = file.trim_start_matches("./");
        let is_tool = super::TOOLS
            .iter()
            .any(|tool| file == format!("usr/bin/{tool}"));
        let of_names = ["etc/nsswitch.conf", "etc/ssl/certs/ca-certificates.crt"];
        let is_library = file.starts_with("lib") && file.contains(".so.");
        is_tool || is_library || of_names.contains(&file)
    };
    assert!(files.lines().all(|file| is_known(&file)), "{files}");
    assert!(files.lines().count() >= super::TOOLS.len() + 3, "{files}");
    // Each blob is what its name says, and the image has a user of its own.
    let blobs =
        "cd all/blobs/sha256 && for blob in *; do echo \"$blob  $blob\"; done | sha256sum --check";
    place.shell(blobs).exits(0);
    let user = "jq -r .config.User all/$(jq -r '.[0].Config' all/manifest.json)";
    place.shell(user).exits(0).prints("65532:65532");
}

#[test]
fn no_path_of_this_machine_is_asked_for_in_what_is_built() {
    // The build itself takes too long for a test; what it is told is looked at.
    let place = Place::new();
    let spy = "#!/bin/sh\necho \"$CARGO_ENCODED_RUSTFLAGS\" | tr '\\037' '\\n'\necho \"$*\"\n";
    place.file(".cargo/bin/cargo", spy);
    // A compiler whose linker can do all.
    place.file(".cargo/bin/rustc", "#!/bin/sh\necho host: a-host\n");
    place.shell("chmod +x .cargo/bin/*").exits(0);
    let root = repository().canonicalize().expect("it is there");
    let ran = place.shell(&script("build.sh")).exits(0);
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}\n", from.display());
    let ran = ran.says(&remap(&root, "."));
    let ran = ran.says(&remap(&place.path().join(".cargo"), "cargo"));
    let ran = ran.says("--target a-host --profile dist --bin=chaos-health");
    let script = root.join("scripts/no-unwinding.ld");
    ran.says(&format!("-Clink-arg=-T{}\n", script.display()));
}
