//! Responses in one piece, in pieces and in bytes.

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
fn a_body_is_kept_where_it_is_wanted_whatever_its_form() {
    for response in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ] {
        for wanted in [true, false] {
            for size in [1, 7, 1000] {
                let mut reader = Reader::keeping_body(wanted);
                for part in response.as_bytes().chunks(size) {
                    reader.feed(part).expect("it is well formed");
                }
                let body: &[u8] = if wanted { b"hello" } else { b"" };
                assert_eq!(reader.into_body(), body, "{response:?} in {size} bytes");
            }
        }
    }
}

#[test]
fn an_interim_response_is_not_the_answer() {
    let both =
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
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
        read(&format!("{head}Content-Length: 0\r\n\r\n")).map(|reply| reply.map(|reply| reply.keep))
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
