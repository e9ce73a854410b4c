//! A watcher in each bed, tool and guardian killed together, and runs that live in trouble: `make watched`.
//!
//! usage: watched [TIMES [MINUTES [EXPERIMENT...]]]   so many kills of all, and as many runs that live

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use chaos_tests::sweep::watched::{LIMIT, Lived, Undone};
use chaos_tests::sweep::{lanes, shares, told};

/// What came of one experiment.
#[derive(Default)]
struct Tally {
    kills: usize,
    last_writes: Vec<Duration>,
    lived: usize,
    wrong: usize,
}

fn main() -> ExitCode {
    let (times, until, experiments) = told(200, 90);
    let shares = shares(&experiments, times);
    let said = Mutex::new(());
    let done = lanes(&experiments, |lane| {
        let experiment = lane.experiment.as_str();
        let times = shares[experiment];
        let watcher = lane.watch();
        let mut tally = Tally::default();
        lane.kill_both(&watcher, times, until, &mut |undone: &Undone| {
            tally.kills += 1;
            tally.last_writes.extend(undone.last_write);
            let late = undone.last_write.is_some_and(|after| after > LIMIT);
            if late || !undone.left.is_empty() {
                tally.wrong += 1;
                let _one = said.lock();
                println!("{experiment}: {undone:?}");
            }
        });
        lane.let_live(&watcher, times, until, &mut |lived: &Lived| {
            tally.lived += 1;
            if !lived.interventions.is_empty() || !lived.left.is_empty() {
                tally.wrong += 1;
                let _one = said.lock();
                println!("{experiment}: {lived:?}");
            }
        });
        eprintln!("{experiment}: done");
        tally
    });
    println!(
        "{:20} {:>6} {:>7} {:>13} {:>13} {:>6} {:>6}",
        "experiment", "kills", "undone", "median, s", "worst, s", "lived", "wrong"
    );
    let mut all = Tally::default();
    for (experiment, mut tally) in experiments.iter().zip(done) {
        row(experiment, &mut tally);
        all.kills += tally.kills;
        all.last_writes.append(&mut tally.last_writes);
        all.lived += tally.lived;
        all.wrong += tally.wrong;
    }
    row("all", &mut all);
    if all.wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Median and worst are from the last sign of life to the watcher's last write, of the runs that it undid.
fn row(name: &str, tally: &mut Tally) {
    tally.last_writes.sort();
    let seconds = |at: Option<&Duration>| {
        at.map_or_else(|| "-".to_owned(), |at| format!("{:.1}", at.as_secs_f64()))
    };
    let median = seconds(tally.last_writes.get(tally.last_writes.len() / 2));
    let worst = seconds(tally.last_writes.last());
    println!(
        "{name:20} {:6} {:7} {median:>13} {worst:>13} {:6} {:6}",
        tally.kills,
        tally.last_writes.len(),
        tally.lived,
        tally.wrong
    );
}
