//! Damaged backups do not pass: a sample of what `make truth` does, over the fixtures.

use std::path::Path;
use std::process::Command;

#[test]
fn damaged_backups_do_not_pass_and_good_ones_do() {
    let tests = Path::new("tests");
    let fixture = |name: &str| tests.join("fixtures").join(name);
    let good = [
        "pgdump/gzip.dump",
        "pgdump/none.dump",
        "pgdump/zstd.dump",
        "pgdump/lz4.dump",
        "pgdump/odd.sql",
        "pgdump/blobs-gzip.folder",
        "pgdump/blobs-none.folder",
        "tar/gnu.tar.gz",
        "tar/pax.tar.gz",
    ];
    let output = Command::new("python3")
        .arg(tests.join("truth/truth.py"))
        .arg(env!("CARGO_BIN_EXE_chaos-backup-check"))
        .args(good.map(fixture))
        .args(["--damaged", "400"])
        .output()
        .expect("python3 is there: scripts/setup.sh installs it");
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("9 good backups, each without and with a manifest: 0 false alarms"),
        "{told}"
    );
}
