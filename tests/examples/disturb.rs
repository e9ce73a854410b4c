//! Disturbs who watches, at many moments of all experiments: `make disturb`.
//!
//! usage: disturb [TIMES [MINUTES [EXPERIMENT...]]]   TIMES of each experiment

use chaos_tests::sweep::disturb::{Disturbed, table};
use chaos_tests::sweep::{lanes, told};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (times, until, experiments) = told(100, 120);
    let done = lanes(&experiments, |lane| {
        let experiment = lane.experiment.clone();
        let mut count = 0;
        let mut tell = |one: &Disturbed| {
            count += 1;
            if !one.wrong.is_empty() {
                println!("{experiment}: {one:#?}");
            }
            if count % 20 == 0 {
                eprintln!("{experiment}: {count} of {times}");
            }
        };
        let runs = lane.disturb(times, until, &mut tell);
        (experiment, runs)
    });
    println!("{}", table(&done));
    let runs = done.iter().flat_map(|(_, runs)| runs);
    let wrong = runs.clone().filter(|run| !run.wrong.is_empty()).count();
    println!(
        "{wrong} of {} runs said what is not so, or left something",
        runs.count()
    );
    if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
