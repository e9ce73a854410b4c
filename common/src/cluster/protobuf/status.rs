//! A refusal: the `Status` that an API server answers with.

use kube::core::Status;
use kube::core::response::StatusDetails;

use super::{Items, Malformed, fields};

/// The `Status` that an answer is, if it is one.
pub(crate) fn status(answer: &[u8]) -> Option<Status> {
    read(Items::single(answer)?).ok()
}

fn read(bytes: &[u8]) -> Result<Status, Malformed> {
    let mut status = Status::failure("", "");
    for field in fields(bytes) {
        match field? {
            (3, message) => status.message = message.text()?,
            (4, reason) => status.reason = reason.text()?,
            (5, details) => status.details = wait(retry_after(details.bytes()?)?),
            (6, code) => status.code = u16::try_from(code.int()?).map_err(|_| Malformed)?,
            _ => {}
        }
    }
    Ok(status)
}

/// Of a `Status`'s details: seconds after which to ask again.
fn retry_after(details: &[u8]) -> Result<Option<u32>, Malformed> {
    let mut seconds = None;
    for field in fields(details) {
        if let (5, value) = field? {
            seconds = u32::try_from(value.int()?).ok();
        }
    }
    Ok(seconds)
}

/// The part of a `Status` that says after how many seconds to ask again.
pub(crate) fn wait(seconds: Option<u32>) -> Option<StatusDetails> {
    let empty = String::new;
    seconds.map(|seconds| StatusDetails {
        name: empty(),
        group: empty(),
        kind: empty(),
        uid: empty(),
        causes: Vec::new(),
        retry_after_seconds: seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read() {
        let refusal = status(include_bytes!("fixtures/refusal.pb")).expect("a status");
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (401, "Unauthorized")
        );
        assert!(status(b"Too many requests").is_none());
    }
}
