//! What is being read, how much of it, and how fast: on a terminal, for a person who waits.

use std::io::{self, IsTerminal as _, Read, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks.
const TICK: Duration = Duration::from_millis(250);
/// What takes less shows no progress.
const PATIENCE: Duration = Duration::from_millis(700);

/// The line on the terminal; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    readings: Readings,
    ticker: Option<(Arc<Stop>, JoinHandle<()>)>,
}

/// Where readers tell what they read. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readings(Arc<Mutex<Vec<Arc<Reading>>>>);

/// One thing that is being read.
#[derive(Debug)]
struct Reading {
    name: String,
    total: Option<u64>,
    read: AtomicU64,
    started: Instant,
}

/// Tells the ticker to end.
#[derive(Debug, Default)]
struct Stop {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Progress {
    /// Shows progress if `wanted` and stderr is a terminal.
    pub(crate) fn start(wanted: bool) -> Progress {
        let readings = Readings::default();
        let ticker = (wanted && io::stderr().is_terminal()).then(|| {
            let stop = Arc::new(Stop::default());
            let (seen, told) = (readings.clone(), stop.clone());
            (stop, std::thread::spawn(move || tick(&seen, &told)))
        });
        Progress { readings, ticker }
    }

    /// Where readers tell what they read.
    pub(crate) fn readings(&self) -> Readings {
        self.readings.clone()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, ticker)) = self.ticker.take() {
            *stop.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
            stop.changed.notify_all();
            // It only writes to stderr; whether it could is of no interest.
            let _ = ticker.join();
        }
    }
}

impl Readings {
    /// Counts what is read through `reader`. `total` is what there is, if that is known.
    pub(crate) fn watch<R: Read>(&self, name: &str, total: Option<u64>, reader: R) -> Watched<R> {
        let reading = Arc::new(Reading {
            name: name.to_owned(),
            total,
            read: AtomicU64::new(0),
            started: Instant::now(),
        });
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(reading.clone());
        Watched {
            reader,
            reading,
            readings: self.clone(),
        }
    }
}

/// A reader whose bytes are counted.
#[derive(Debug)]
pub(crate) struct Watched<R> {
    reader: R,
    reading: Arc<Reading>,
    readings: Readings,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.reading.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl<R> Drop for Watched<R> {
    fn drop(&mut self) {
        let mut readings = self
            .readings
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        readings.retain(|reading| !Arc::ptr_eq(reading, &self.reading));
    }
}

fn tick(readings: &Readings, stop: &Stop) {
    let started = Instant::now();
    let mut shown = false;
    let mut over = stop.over.lock().unwrap_or_else(PoisonError::into_inner);
    while !*over {
        over = stop
            .changed
            .wait_timeout(over, TICK)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        let line = line(
            &readings.0.lock().unwrap_or_else(PoisonError::into_inner),
            Instant::now(),
        );
        if shown || (started.elapsed() > PATIENCE && !line.is_empty()) {
            // Nobody may be looking any more.
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
            shown = true;
        }
    }
    if shown {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// The readings in one line: name, bytes, share, rate.
fn line(readings: &[Arc<Reading>], now: Instant) -> String {
    let one = |reading: &Arc<Reading>| {
        let read = reading.read.load(Ordering::Relaxed);
        let elapsed = now
            .saturating_duration_since(reading.started)
            .as_millis()
            .max(1);
        let rate = u64::try_from(u128::from(read) * 1000 / elapsed).unwrap_or(u64::MAX);
        let of = match reading.total {
            Some(total) if total > 0 => {
                format!(
                    " of {} ({} %)",
                    bytes(total),
                    u128::from(read.min(total)) * 100 / u128::from(total)
                )
            }
            _ => String::new(),
        };
        let name: String = reading
            .name
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        format!("{name}: {}{of}, {}/s", bytes(read), bytes(rate))
    };
    let all: Vec<String> = readings.iter().map(one).collect();
    // A line that wraps could not be taken back.
    all.join("; ").chars().take(150).collect()
}

/// Bytes for people.
pub(crate) fn bytes(number: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut tenths = number / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < units.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_what_is_read_and_how_far() {
        let readings = Readings::default();
        let mut reader = readings.watch(
            "/backup/latest.dump",
            Some(4_000_000_000),
            io::repeat(b'x').take(1_000_000),
        );
        io::copy(&mut reader, &mut io::sink()).expect("memory can be read");
        let text = |at: Instant| line(&readings.0.lock().expect("whole"), at);
        let started = readings.0.lock().expect("whole")[0].started;
        let shown = text(started + Duration::from_secs(2));
        assert_eq!(
            shown,
            "/backup/latest.dump: 1.0 MB of 4.0 GB (0 %), 500.0 kB/s"
        );
        let escape = readings.watch("x\x1b[31m\n", None, io::empty());
        assert!(
            !text(Instant::now()).contains(['\x1b', '\n']),
            "names must not steer the terminal"
        );
        drop((reader, escape));
        assert_eq!(text(Instant::now()), "");
    }

    #[test]
    fn bytes_carry_their_unit() {
        let text = [
            0,
            999,
            1000,
            123_456,
            999_999,
            1_000_000,
            4_200_000_000,
            u64::MAX,
        ]
        .map(bytes);
        assert_eq!(
            text,
            [
                "0 B", "999 B", "1.0 kB", "123.4 kB", "999.9 kB", "1.0 MB", "4.2 GB", "18.4 EB"
            ]
        );
    }
}
