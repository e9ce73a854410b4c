//! Reading an HTTP/1.1 response out of the bytes of a connection, piece by piece, in bounded
//! memory.
//!
//! Only what a measurement needs is kept: the status, where the response ends, and whether the
//! connection may be used again. The body is counted and dropped.

/// Header bytes that are read before the response is given up.
pub(crate) const MAX_HEAD: usize = 64 << 10;
/// Body bytes that are read before the response is given up.
pub(crate) const MAX_BODY: u64 = 64 << 20;
/// Header lines that are read before the response is given up.
const MAX_HEADERS: usize = 100;

/// A response that has been read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Another request may be sent on this connection.
    pub(crate) keep: bool,
}

/// Why bytes are no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    Head,
    HeadTooLong,
    BodyTooLong,
    Chunk,
    /// The connection ended before the response did.
    Cut,
    /// There are bytes behind the end of the response.
    Surplus,
}

impl Malformed {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Malformed::Head => "the answer is not HTTP/1.1",
            Malformed::HeadTooLong => "the answer's headers do not end within 64 KiB and 100 lines",
            Malformed::BodyTooLong => "the answer's body does not end within 64 MiB",
            Malformed::Chunk => "the answer's chunks are malformed",
            Malformed::Cut => "the connection ended in the middle of the answer",
            Malformed::Surplus => "the server sent more than one answer",
        }
    }
}

/// The state of reading one response.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// The beginning of a head that did not come in one piece.
    head: Vec<u8>,
    status: u16,
    keep: bool,
    body: Body,
    read: u64,
    /// What of the body was read, where it is wanted.
    kept: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Body {
    /// The head is not there yet.
    #[default]
    Head,
    /// So many bytes are to come.
    Length(u64),
    Chunked(Chunk),
    /// All until the connection ends.
    UntilEnd,
}

#[derive(Clone, Copy, Debug)]
enum Chunk {
    /// In the line with the size, which is so far this, from so many digits.
    Size(u64, u8),
    /// In the rest of that line.
    SizeEnd(u64),
    Data(u64),
    /// Behind the data, before the line feed.
    DataEnd,
    /// In a line behind the last chunk; whether it is still empty.
    Trailer(bool),
}

impl Reader {
    /// One that keeps the body too, if that is wanted.
    pub(crate) fn keeping_body(wanted: bool) -> Reader {
        Reader {
            kept: wanted.then(Vec::new),
            ..Reader::default()
        }
    }

    /// The body, as far as it was read and kept.
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.kept.unwrap_or_default()
    }

    /// Takes the next bytes; the reply is there when the response is complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Option<Reply>, Malformed> {
        if !matches!(self.body, Body::Head) {
            return self.feed_body(bytes);
        }
        if self.head.is_empty() {
            return match self.read_head(bytes)? {
                Some(length) => self.feed_body(&bytes[length..]),
                None => self.keep_head(bytes),
            };
        }
        let known = self.head.len();
        self.keep_head(bytes)?;
        let head = std::mem::take(&mut self.head);
        if let Some(length) = self.read_head(&head)? {
            return self.feed_body(&bytes[length - known..]);
        }
        self.head = head;
        Ok(None)
    }

    /// The connection has ended.
    pub(crate) fn end(&self) -> Result<Reply, Malformed> {
        match self.body {
            Body::UntilEnd => Ok(Reply {
                status: self.status,
                keep: false,
            }),
            _ => Err(Malformed::Cut),
        }
    }

    fn keep_head(&mut self, bytes: &[u8]) -> Result<Option<Reply>, Malformed> {
        if self.head.len() + bytes.len() > MAX_HEAD {
            return Err(Malformed::HeadTooLong);
        }
        self.head.extend_from_slice(bytes);
        Ok(None)
    }

    /// Reads the head, if it is complete, and gives its length. Interim responses (1xx) are part of
    /// it.
    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut start = 0;
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut headers);
            let length = match response.parse(&bytes[start..]) {
                Ok(httparse::Status::Complete(length)) => length,
                Ok(httparse::Status::Partial) => return Ok(None),
                Err(httparse::Error::TooManyHeaders) => return Err(Malformed::HeadTooLong),
                Err(_) => return Err(Malformed::Head),
            };
            start += length;
            let status = response.code.unwrap_or_default();
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            self.status = status;
            self.keep = response.version == Some(1);
            let (mut length, mut chunked, mut coded) = (None, false, false);
            for header in response.headers.iter() {
                let name = header.name;
                if name.eq_ignore_ascii_case("content-length") {
                    let value = std::str::from_utf8(header.value)
                        .ok()
                        .and_then(|text| text.trim().parse::<u64>().ok());
                    let value = value.ok_or(Malformed::Head)?;
                    if length.is_some_and(|known| known != value) {
                        return Err(Malformed::Head);
                    }
                    length = Some(value);
                } else if name.eq_ignore_ascii_case("transfer-encoding") {
                    coded = true;
                    chunked = has(header.value, b"chunked");
                } else if name.eq_ignore_ascii_case("connection") {
                    if has(header.value, b"close") {
                        self.keep = false;
                    } else if has(header.value, b"keep-alive") {
                        self.keep = true;
                    }
                }
            }
            self.body = match length {
                _ if matches!(status, 204 | 304) => Body::Length(0),
                // Another protocol follows, which is nothing we asked for.
                _ if status == 101 => return Err(Malformed::Head),
                _ if chunked => Body::Chunked(Chunk::Size(0, 0)),
                Some(length) if !coded => Body::Length(length),
                _ => Body::UntilEnd,
            };
            return Ok(Some(start));
        }
    }

    fn feed_body(&mut self, bytes: &[u8]) -> Result<Option<Reply>, Malformed> {
        self.read += bytes.len() as u64;
        if self.read > MAX_BODY {
            return Err(Malformed::BodyTooLong);
        }
        let reply = Reply {
            status: self.status,
            keep: self.keep,
        };
        let left = match &mut self.body {
            Body::Head => unreachable!("the head comes before the body"),
            Body::UntilEnd => {
                keep(&mut self.kept, bytes);
                return Ok(None);
            }
            Body::Length(left) if bytes.len() as u64 > *left => Some(1),
            Body::Length(left) => {
                keep(&mut self.kept, bytes);
                *left -= bytes.len() as u64;
                (*left == 0).then_some(0)
            }
            Body::Chunked(chunk) => {
                chunks(chunk, bytes, &mut self.kept)?.map(|end| bytes.len() - end)
            }
        };
        match left {
            None => Ok(None),
            Some(0) => Ok(Some(reply)),
            Some(_) => Err(Malformed::Surplus),
        }
    }
}

fn keep(kept: &mut Option<Vec<u8>>, bytes: &[u8]) {
    if let Some(kept) = kept {
        kept.extend_from_slice(bytes);
    }
}

/// Takes bytes of a chunked body; the number of them up to its end, when that is reached.
fn chunks(
    state: &mut Chunk,
    bytes: &[u8],
    kept: &mut Option<Vec<u8>>,
) -> Result<Option<usize>, Malformed> {
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        at += 1;
        *state = match *state {
            Chunk::Size(size, digits) => match char::from(byte).to_digit(16) {
                Some(_) if digits == 15 => return Err(Malformed::Chunk),
                Some(digit) => Chunk::Size(size << 4 | u64::from(digit), digits + 1),
                None if digits > 0 && matches!(byte, b'\r' | b';' | b' ' | b'\t') => {
                    Chunk::SizeEnd(size)
                }
                None => return Err(Malformed::Chunk),
            },
            Chunk::SizeEnd(0) if byte == b'\n' => Chunk::Trailer(true),
            Chunk::SizeEnd(size) if byte == b'\n' => Chunk::Data(size),
            Chunk::SizeEnd(size) => Chunk::SizeEnd(size),
            Chunk::Data(left) => {
                // This byte and what else of the chunk is here.
                let more = left.min((bytes.len() - at + 1) as u64);
                let first = at - 1;
                at += usize::try_from(more).expect("it is at most the length of a slice") - 1;
                keep(kept, &bytes[first..at]);
                if more == left {
                    Chunk::DataEnd
                } else {
                    Chunk::Data(left - more)
                }
            }
            Chunk::DataEnd if byte == b'\r' => Chunk::DataEnd,
            Chunk::DataEnd if byte == b'\n' => Chunk::Size(0, 0),
            Chunk::DataEnd => return Err(Malformed::Chunk),
            Chunk::Trailer(true) if byte == b'\n' => return Ok(Some(at)),
            Chunk::Trailer(empty) if byte == b'\r' => Chunk::Trailer(empty),
            Chunk::Trailer(_) => Chunk::Trailer(byte == b'\n'),
        };
    }
    Ok(None)
}

/// Whether a header's list holds a word.
fn has(value: &[u8], word: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests;
