//! A clock on the wall that jumps while somebody is waited for.

use std::thread;
use std::time::Duration;

use crate::escalation::{Running, Scene, ask, wait_for};
use crate::stderr;

#[test]
fn a_clock_that_jumps_tells_nobody_early_and_leaves_nobody_out() {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    if !std::path::Path::new(library).exists() {
        crate::needs::skipped("faketime is not installed (scripts/setup.sh installs it)");
        return;
    }
    let scene = Scene::new(["0s", "1h", "2h", "3h"]);
    let jump = |offset: &str| scene.bench.file("offset", offset);
    let faked = |args: &[&str]| {
        let mut command = scene.bench.command(args);
        let offset = scene.bench.home.path().join("offset");
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", offset)
            .env("FAKETIME_NO_CACHE", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    };
    jump("+0");
    let receiver = scene.receiver();
    let alarm = Running::start(faked(&["critical", "--issue", "x", "--escalate"]));
    wait_for("the first is told", || scene.told()[0] == 1);
    for offset in ["+2d", "-2d"] {
        jump(offset);
        thread::sleep(Duration::from_secs(3));
        assert_eq!(scene.told(), [1, 0, 0], "{offset}");
    }
    // The process that counted is gone, and the clock went backwards: the next one is told.
    alarm.kill();
    let flush = || Running::start(faked(&["flush"])).end();
    let flushed = flush();
    assert_eq!(scene.told(), [1, 1, 0], "{}", stderr(&flushed));
    assert_eq!(flush().status.code(), Some(3));
    assert_eq!(
        scene.told(),
        [1, 1, 0],
        "by the new clock, it is nobody's turn"
    );
    jump("+3d");
    flush();
    flush();
    assert_eq!(scene.told(), [1, 1, 1]);
    ask("POST", &scene.link(2), "");
    assert_eq!(flush().status.code(), Some(0));
    drop(receiver);
}
