//! The kill sweep over all experiments, and its table: `make sweep`.
//!
//! usage: sweep [KILLS [MINUTES [EXPERIMENT...]]]

use chaos_tests::sweep::{Figures, lanes, shares, table, told};
use std::process::ExitCode;

/// An undo that takes longer by itself is told of.
const LIMIT_MS: f64 = 1000.0;

fn main() -> ExitCode {
    let (kills, until, experiments) = told(600, 25);
    let shares = shares(&experiments, kills);
    let done = lanes(&experiments, |lane| {
        let experiment = lane.experiment.as_str();
        let kills = shares[experiment];
        let mut count = 0;
        lane.sweep(kills, until, &mut |kill| {
            count += 1;
            let slow = kill.undo.own.is_some_and(|own| own > LIMIT_MS);
            if slow {
                println!("{experiment}: slow: {:?} {:?}", kill.point, kill.undo);
            }
            if !kill.left.is_empty() || kill.odd.is_some() {
                println!(
                    "{experiment}: {:?}\n  left: {:?}\n  odd: {:?}",
                    kill.point, kill.left, kill.odd
                );
            }
            if count % 20 == 0 {
                eprintln!("{experiment}: {count} of {kills}");
            }
        })
    });
    println!("{}", table(&done));
    let (left, odd): (usize, usize) = (
        done.iter().map(Figures::leftovers).sum(),
        done.iter().map(Figures::odd).sum(),
    );
    let missed: usize = done.iter().map(|f| f.missed).sum();
    println!(
        "{left} kills left something, {odd} ended oddly, {missed} runs ended before their point"
    );
    if left + odd == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
