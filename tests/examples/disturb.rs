//! Disturbs who watches, at many moments of all experiments: `make disturb`.
//!
//! usage: disturb [TIMES [MINUTES [EXPERIMENT...]]]   TIMES of each experiment

use std::process::ExitCode;
use std::time::{Duration, Instant};

use chaos_tests::sweep::disturb::{Disturbed, table};
use chaos_tests::sweep::{experiments, lanes};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut number = |default: usize| {
        args.next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (times, minutes) = (number(100), number(120));
    let named: Vec<String> = args.collect();
    let until = Instant::now() + Duration::from_secs(60 * minutes as u64);
    let mut experiments = experiments();
    experiments.retain(|one| named.is_empty() || named.contains(one));
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
