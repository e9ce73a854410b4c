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
            Body::UntilEnd => return Ok(None),
            Body::Length(left) if bytes.len() as u64 > *left => Some(1),
            Body::Length(left) => {
                *left -= bytes.len() as u64;
                (*left == 0).then_some(0)
            }
            Body::Chunked(chunk) => chunks(chunk, bytes)?.map(|end| bytes.len() - end),
        };
        match left {
            None => Ok(None),
            Some(0) => Ok(Some(reply)),
            Some(_) => Err(Malformed::Surplus),
        }
    }
}

/// Takes bytes of a chunked body; the number of them up to its end, when that is reached.
fn chunks(state: &mut Chunk, bytes: &[u8]) -> Result<Option<usize>, Malformed> {
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
                at += usize::try_from(more).expect("it is at most the length of a slice") - 1;
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
mod tests {
    use super::*;

    const OK: Reply = Reply {
        status: 200,
        keep: true,
    };

    /// Feeds a response whole, and again cut at every place and byte by byte: the result must be
    /// the same.
    #[track_caller]
    fn read(response: &str) -> Result<Option<Reply>, Malformed> {
        let bytes = response.as_bytes();
        let whole = Reader::default().feed(bytes);
        for cut in 1..bytes.len() {
            let mut reader = Reader::default();
            let mut result = reader.feed(&bytes[..cut]);
            if result == Ok(None) {
                result = reader.feed(&bytes[cut..]);
            }
            assert!(
                result == whole || matches!(whole, Err(Malformed::Surplus)),
                "{response:?} cut at {cut}: {result:?}"
            );
        }
        let mut reader = Reader::default();
        let mut result = Ok(None);
        for byte in bytes {
            result = reader.feed(std::slice::from_ref(byte));
            if result != Ok(None) {
                break;
            }
        }
        assert!(
            result == whole || matches!(whole, Err(Malformed::Surplus)),
            "{response:?} in bytes: {result:?}"
        );
        whole
    }

    #[test]
    fn the_end_of_a_response_is_found_by_its_length_or_its_chunks() {
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
            Ok(Some(OK))
        );
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"),
            Ok(None)
        );
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello"),
            Err(Malformed::Surplus)
        );
        assert_eq!(
            read("HTTP/1.1 204 No Content\r\n\r\n"),
            Ok(Some(Reply {
                status: 204,
                keep: true
            }))
        );
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
        assert_eq!(
            read(&format!(
                "{chunked}5\r\nhello\r\n1a;x=y\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n"
            )),
            Ok(Some(OK))
        );
        assert_eq!(
            read(&format!("{chunked}5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n")),
            Ok(Some(OK))
        );
        assert_eq!(
            read(&format!("{chunked}5\r\nhello\r\n0\r\nA: b\r\n")),
            Ok(None)
        );
        assert_eq!(
            read(&format!("{chunked}5\r\nhelloX")),
            Err(Malformed::Chunk)
        );
        assert_eq!(read(&format!("{chunked}\r\n")), Err(Malformed::Chunk));
        assert_eq!(
            read(&format!("{chunked}fffffffffffffffff\r\n")),
            Err(Malformed::Chunk)
        );
    }

    #[test]
    fn an_interim_response_is_not_the_answer() {
        let both = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(read(both), Ok(Some(OK)));
    }

    #[test]
    fn a_response_without_a_length_ends_with_the_connection() {
        let mut reader = Reader::default();
        assert_eq!(reader.end(), Err(Malformed::Cut));
        assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\n\r\nhello"), Ok(None));
        assert_eq!(
            reader.end(),
            Ok(Reply {
                status: 200,
                keep: false
            })
        );
        let mut reader = Reader::default();
        assert_eq!(
            reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
            Ok(None)
        );
        assert_eq!(reader.end(), Err(Malformed::Cut));
    }

    #[test]
    fn a_connection_is_kept_as_version_and_header_say() {
        let keep = |head: &str| {
            read(&format!("{head}Content-Length: 0\r\n\r\n"))
                .map(|reply| reply.map(|reply| reply.keep))
        };
        assert_eq!(keep("HTTP/1.1 200 OK\r\n"), Ok(Some(true)));
        assert_eq!(
            keep("HTTP/1.1 200 OK\r\nConnection: Close\r\n"),
            Ok(Some(false))
        );
        assert_eq!(keep("HTTP/1.0 200 OK\r\n"), Ok(Some(false)));
        assert_eq!(
            keep("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"),
            Ok(Some(true))
        );
    }

    #[test]
    fn what_never_ends_is_given_up_in_bounded_memory() {
        let mut reader = Reader::default();
        let mut fed = reader.feed(b"HTTP/1.1 200 OK\r\nX: ");
        while fed == Ok(None) {
            fed = reader.feed(&[b'a'; 4096]);
        }
        assert_eq!(fed, Err(Malformed::HeadTooLong));
        assert!(reader.head.capacity() <= 2 * MAX_HEAD);
        let many = "HTTP/1.1 200 OK\r\n".to_owned() + &"A: b\r\n".repeat(MAX_HEADERS + 1);
        assert_eq!(
            Reader::default().feed(many.as_bytes()),
            Err(Malformed::HeadTooLong)
        );
        let mut reader = Reader::default();
        let mut fed = reader.feed(b"HTTP/1.1 200 OK\r\n\r\n");
        let block = vec![b'a'; 1 << 20];
        while fed == Ok(None) {
            fed = reader.feed(&block);
        }
        assert_eq!(fed, Err(Malformed::BodyTooLong));
    }

    #[test]
    fn other_protocols_are_named() {
        assert_eq!(read("220 mail.example.com ESMTP\r\n"), Err(Malformed::Head));
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"),
            Err(Malformed::Head)
        );
        assert_eq!(
            read("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            Err(Malformed::Head)
        );
    }
}
