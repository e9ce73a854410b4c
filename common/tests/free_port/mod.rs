//! A port of this machine for a server that a test starts, or at which nobody listens.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the kernel gives to whoever connects (from 32768), of which one that was free a
/// moment ago may be in use.
const FIRST: u16 = 20_000;
const COUNT: u32 = 12_000;

/// A free one that no other test of this program was given, and that other programs come to last.
pub fn free_port() -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    loop {
        let given = u32::from(GIVEN.fetch_add(1, Ordering::Relaxed));
        let offset = (std::process::id().wrapping_mul(127) + given) % COUNT;
        let port = FIRST + u16::try_from(offset).expect("there are fewer");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
