//! Requests to servers that go away at every point of one.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use chaos_common::cli::block_on;

use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that does to its connections, by their number, what `treat` does.
fn serve(treat: impl Fn(usize, TcpStream) + Send + 'static) -> HttpUrl {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            treat(number, stream);
        }
    });
    HttpUrl::parse(&url).expect("a URL")
}

/// Asks one connection after the other; gives what became of each, and how often it was sent again.
async fn ask(url: &HttpUrl, times: usize) -> Vec<(bool, u32)> {
    let connector = Connector::new(url, false).await.expect("an address");
    let (mut connection, mut ended) = (None, Vec::new());
    for _ in 0..times {
        let one = request(url, &connector, &mut connection, Instant::now(), PATIENCE).await;
        ended.push((one.outcome.is_ok(), one.again));
    }
    ended
}

#[test]
fn a_request_that_is_answered_by_a_reset_on_a_kept_connection_has_failed() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let url = serve(move |_, mut stream| {
        let mut request = [0; 4096];
        loop {
            let third = count.load(std::sync::atomic::Ordering::SeqCst) % 3 == 2;
            // What is left unread when it closes makes a reset of it.
            let most = if third { 1 } else { request.len() };
            if !stream.read(&mut request[..most]).is_ok_and(|read| read > 0) {
                return;
            }
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if third || stream.write_all(OK).is_err() {
                return;
            }
        }
    });
    let ended = block_on(ask(&url, 30));
    let failed = ended.iter().filter(|(good, _)| !good).count();
    assert_eq!(failed, 10, "{ended:?}");
    assert!(ended.iter().all(|(_, again)| *again == 0), "{ended:?}");
}

#[test]
fn a_connection_that_was_closed_while_it_rested_is_not_used() {
    let (closed, is_closed) = mpsc::channel();
    let url = serve(move |_, mut stream| {
        drop(stream.read(&mut [0; 4096]));
        drop(stream.write_all(OK));
        drop(stream);
        let _ = closed.send(());
    });
    block_on(async {
        let connector = Connector::new(&url, false).await.expect("an address");
        let mut connection = None;
        for _ in 0..5 {
            let one = request(&url, &connector, &mut connection, Instant::now(), PATIENCE).await;
            assert!(one.outcome.is_ok() && one.again == 0, "{one:?}");
            assert!(connection.is_some(), "nothing said that it would close");
            is_closed.recv().expect("the server runs");
        }
    });
}

/// A server of HTTP/2, as far as it is needed here.
struct Frames(TcpStream);

impl Frames {
    const HEADERS: u8 = 1;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;

    fn greet(mut stream: TcpStream) -> Frames {
        drop(stream.read_exact(&mut [0; 24]));
        let mut frames = Frames(stream);
        frames.write(Frames::SETTINGS, 0, 0, &[]);
        frames
    }

    fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // Whether the client is still there is its business.
        drop(self.0.write_all(&frame));
    }

    /// The stream of the next request; none when the client has gone.
    fn request(&mut self) -> Option<u32> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).expect("it fits")];
            self.0.read_exact(&mut payload).ok()?;
            match head[3] {
                Frames::HEADERS => {
                    return Some(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
                }
                Frames::SETTINGS if head[4] == 0 => self.write(Frames::SETTINGS, 1, 0, &[]),
                _ => {}
            }
        }
    }

    /// Status 200 without a body: entry 8 of HPACK's static table, end of headers and of stream.
    fn answer(&mut self, stream: u32) {
        self.write(Frames::HEADERS, 0b101, stream, &[0x88]);
    }

    fn go_away(&mut self, last: u32) {
        self.write(Frames::GOAWAY, 0, 0, &[last.to_be_bytes(), [0; 4]].concat());
    }

    /// Says that nothing more comes, and reads what the client still sends: a connection that is
    /// closed over it is reset, and what was written before may be lost.
    fn leave(mut self) {
        drop(self.0.shutdown(Shutdown::Write));
        thread::spawn(move || while self.request().is_some() {});
    }
}

/// Two requests at the same time on one connection, of which `first` sees both.
fn two_at_a_time(first: fn(&mut Frames, u32)) -> Vec<(bool, u32)> {
    let url = serve(move |number, stream| {
        let mut frames = Frames::greet(stream);
        if number == 0 {
            let (_, last) = (frames.request(), frames.request());
            first(&mut frames, last.expect("two requests"));
            frames.leave();
            return;
        }
        thread::spawn(move || {
            while let Some(stream) = frames.request() {
                frames.answer(stream);
            }
        });
    });
    block_on(async {
        let connector = Connector::new(&url, true).await.expect("an address");
        let (one, _) = connector.connect().await.expect("a connection");
        let Connection::Http2(http2) = &one else {
            panic!("HTTP/2 was asked for");
        };
        let mut other = Some(Connection::Http2(http2.clone()));
        let mut one = Some(one);
        let now = Instant::now();
        let (one, other) = futures::join!(
            request(&url, &connector, &mut one, now, PATIENCE),
            request(&url, &connector, &mut other, now, PATIENCE),
        );
        [one, other]
            .map(|one| (one.outcome.is_ok(), one.again))
            .to_vec()
    })
}

#[test]
fn streams_above_the_last_one_of_a_server_that_goes_are_sent_again() {
    let ended = two_at_a_time(|frames, last| {
        frames.go_away(last - 2);
        frames.answer(last - 2);
    });
    assert_eq!(ended, [(true, 0), (true, 1)]);
}

#[test]
fn streams_that_a_server_took_up_and_did_not_answer_have_failed() {
    let ended = two_at_a_time(Frames::go_away);
    assert_eq!(ended, [(false, 0), (false, 0)]);
}
