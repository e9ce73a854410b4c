//! SHA-256, as people compare it.
//!
//! By ring, which the TLS library brings along: where the processor has no instructions for it, it is nearly
//! twice as quick as the crate sha2, and a digest of every byte is a third of the work here.

use std::io::{self, BufRead, Read};

use ring::digest::{Context, SHA256};

use crate::pipe::{BUFFER, Writer, fill, pipe};
use crate::trouble::Trouble;

/// A digest while its bytes come.
#[derive(Clone)]
pub(crate) struct Sha256(Context);

impl Default for Sha256 {
    fn default() -> Sha256 {
        Sha256(Context::new(&SHA256))
    }
}

impl Sha256 {
    /// Takes some bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// The digest in hex.
pub(crate) fn hex(digest: Sha256) -> String {
    digest.0.finish().as_ref().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

/// The digest of some bytes in hex.
pub(crate) fn of(bytes: &[u8]) -> String {
    let mut digest = Sha256::default();
    digest.update(bytes);
    hex(digest)
}

/// What all bytes of something make.
pub(crate) struct Whole<T> {
    pub(crate) parsed: T,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: String,
}

/// Reads all bytes, and makes their digest while `parse` reads them; what it leaves is read as well.
pub(crate) fn read_all<T>(
    mut reader: impl Read + Send,
    size: Option<u64>,
    parse: impl FnOnce(&mut (dyn BufRead + Send)) -> Result<T, Trouble>,
) -> Result<Whole<T>, Trouble> {
    // A thread for a small file costs more than it saves.
    let small = size.filter(|size| *size < BUFFER as u64);
    let (parsed, source) = match small {
        Some(size) => {
            let mut bytes = Vec::new();
            let error = reader.by_ref().take(size + 1).read_to_end(&mut bytes).err();
            let mut source = Source { size_bytes: bytes.len() as u64, digest: Sha256::default(), error };
            source.digest.update(&bytes);
            (parse(&mut &bytes[..]), source)
        }
        None => std::thread::scope(|scope| {
            let (writer, mut bytes) = pipe();
            let source = scope.spawn(move || Source::read(reader, &writer));
            let parsed = parse(&mut bytes);
            if parsed.is_ok() {
                // What is left is part of the digest.
                let _ = io::copy(&mut bytes, &mut io::sink());
            }
            drop(bytes);
            (parsed, source.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        }),
    };
    // Without its end, what was read looks cut.
    if let Some(error) = source.error {
        return Err(Trouble::reading(source.size_bytes, &error));
    }
    Ok(Whole { parsed: parsed?, size_bytes: source.size_bytes, sha256: hex(source.digest) })
}

/// What was read from where the backup is.
struct Source {
    size_bytes: u64,
    digest: Sha256,
    error: Option<io::Error>,
}

impl Source {
    /// Reads up to the end, an error, or until nobody wants more.
    fn read(mut reader: impl Read, writer: &Writer) -> Source {
        let mut source = Source { size_bytes: 0, digest: Sha256::default(), error: None };
        let mut end = false;
        while !end {
            let wanted = writer.send(|buffer| {
                let (read, error) = fill(&mut reader, buffer);
                source.digest.update(&buffer[..read]);
                source.size_bytes += read as u64;
                end = read < buffer.len();
                source.error = error;
                read
            });
            end |= !wanted;
        }
        source
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_digest_is_that_of_sha256sum() {
        assert_eq!(super::of(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(super::of(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
