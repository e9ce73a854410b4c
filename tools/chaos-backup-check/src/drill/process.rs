//! Feeds a program, and hears what it answers and says.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::error::DrillError;
use super::feed::Feed;

/// The most that is kept of what a program says.
const MAX_SAID: u64 = 256 << 10;
/// The most that an answer may have.
const MAX_ANSWER: u64 = 64 << 20;

/// What a program did.
pub(super) struct Ran {
    pub(super) success: bool,
    pub(super) answer: String,
    pub(super) said: String,
    /// Size and digest of what it was fed.
    pub(super) read: (u64, String),
}

/// What came of feeding a program.
type Fed = Result<(u64, String), DrillError>;
type Heard = std::io::Result<String>;

/// Feeds a program, and hears what it answers and says, all at the same time.
pub(super) async fn talk(
    feed: Feed,
    stdin: impl AsyncWrite + Unpin,
    stdout: impl AsyncRead + Unpin,
    stderr: impl AsyncRead + Unpin,
) -> (Fed, Heard, Heard) {
    futures::future::join3(
        feed.into(stdin),
        hear(stdout, MAX_ANSWER),
        hear(stderr, MAX_SAID),
    )
    .await
}

async fn hear(output: impl AsyncRead + Unpin, max: u64) -> Heard {
    let mut kept = Vec::new();
    let mut output = output.take(max);
    let heard = output.read_to_end(&mut kept).await;
    // What it says besides is not kept, but must not stop it.
    let mut rest = output.into_inner();
    tokio::io::copy(&mut rest, &mut tokio::io::sink())
        .await
        .and(heard)?;
    Ok(String::from_utf8_lossy(&kept).into_owned())
}
