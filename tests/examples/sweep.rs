//! The kill sweep over all five experiments, and its table: `make sweep`.
//!
//! usage: sweep [KILLS [MINUTES [EXPERIMENT...]]]

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chaos_tests::sweep::{Figures, Lane, bed, shares, table};

/// Experiments that are swept at the same time, so that one works while others wait for their pods.
const LANES: usize = 3;

/// An undo that takes longer by itself is told of.
const LIMIT_MS: f64 = 1000.0;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let mut number = |default: usize| args.next().map_or(default, |text| text.parse().expect("a number"));
    let (kills, minutes) = (number(600), number(25));
    let named: Vec<String> = args.collect();
    let until = Instant::now() + Duration::from_secs(60 * minutes as u64);
    let mut shares: Vec<(&'static str, usize)> = shares(kills).into_iter().collect();
    if !named.is_empty() {
        shares.retain(|(name, _)| named.iter().any(|wanted| wanted == name));
        let each = kills / shares.len().max(1);
        for (_, kills) in &mut shares {
            *kills = each;
        }
    }
    let (waiting, done) = (Mutex::new(shares), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("nobody panics with it").pop();
                    let Some((experiment, kills)) = next else { break };
                    let lane = Lane::new(experiment);
                    let mut count = 0;
                    let figures = lane.sweep(kills, until, &mut |kill| {
                        count += 1;
                        let slow = kill.undo.own.is_some_and(|own| own > LIMIT_MS);
                        if slow {
                            println!("{experiment}: slow: {:?} {:?}", kill.point, kill.undo);
                        }
                        if !kill.left.is_empty() || kill.odd.is_some() {
                            println!("{experiment}: {:?}\n  left: {:?}\n  odd: {:?}", kill.point, kill.left, kill.odd);
                        }
                        if count % 20 == 0 {
                            eprintln!("{experiment}: {count} of {kills}");
                        }
                    });
                    lane.remove();
                    done.lock().expect("nobody panics with it").push(figures);
                }
            });
        }
    });
    let mut done = done.into_inner().expect("nobody panics with it");
    done.sort_by_key(|figures| bed::EXPERIMENTS.iter().position(|name| figures.is_of(name)));
    println!("{}", table(&done));
    let (left, odd): (usize, usize) = (done.iter().map(Figures::leftovers).sum(), done.iter().map(Figures::odd).sum());
    let missed: usize = done.iter().map(|f| f.missed).sum();
    println!("{left} kills left something, {odd} ended oddly, {missed} runs ended before their point");
    if left + odd == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
