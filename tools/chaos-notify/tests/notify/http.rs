//! A small HTTP server that answers as it is told, also badly, and remembers what it was sent.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// What the server does with a request that it has read.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Answers with this status line, further header lines, and `ok`.
    Status(&'static str),
    /// Answers with this status line and this body.
    Body(&'static str, String),
    /// Writes exactly these bytes and closes the connection.
    Raw(&'static str),
    /// Closes the connection without a word.
    Drop,
    /// Says nothing for longer than anybody waits.
    Hang,
    /// Sends header lines without an end.
    EndlessHeaders,
    /// Sends the answer's body in drops for longer than anybody waits.
    Drip,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// A server that gives these answers in turn, and the last of them ever after.
    pub(crate) fn new(answers: &[Answer]) -> Server {
        let answers = answers.to_vec();
        Server::with(move |_, number| answers[number.min(answers.len() - 1)].clone())
    }

    /// A server that answers a request, by its number, as this says.
    pub(crate) fn with(answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answer) = (Arc::clone(&requests), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                thread::spawn(move || serve(&stream.expect("a connection"), &seen, &*answer));
            }
        });
        Server { port, requests }
    }

    /// A URL of it that is a secret.
    pub(crate) fn url(&self) -> String {
        format!("{}hunter2-SECRET/", self.root())
    }

    /// Its own URL, which is none.
    pub(crate) fn root(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// The requests so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock();
        requests.expect("no panic in the server").clone()
    }

    /// The body of the only request.
    pub(crate) fn body(&self) -> Value {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        body(&requests[0])
    }

    /// The requests of this method, as path and body.
    pub(crate) fn of(&self, method: &str) -> Vec<(String, Value)> {
        let requests = self.requests().into_iter();
        let of_method = requests.filter(|request| request.starts_with(method));
        of_method
            .map(|request| {
                let path = request.split(' ').nth(1).unwrap_or_default();
                (path.to_owned(), body(&request))
            })
            .collect()
    }
}

/// The body of a request; null where it has none.
pub(crate) fn body(request: &str) -> Value {
    let (_, body) = request.split_once("\r\n\r\n").expect("a head and a body");
    serde_json::from_str(body).unwrap_or_default()
}

fn serve(
    stream: &TcpStream,
    seen: &Mutex<Vec<String>>,
    answer: &(dyn Fn(&str, usize) -> Answer + Send + Sync),
) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        let number = {
            let mut seen = seen.lock().expect("no panic in the server");
            seen.push(request.clone());
            seen.len() - 1
        };
        if !give(stream, answer(&request, number)) {
            // What the caller still has on its way does not matter.
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<String> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

/// Answers; whether the connection is of further use.
fn give(mut stream: &TcpStream, answer: Answer) -> bool {
    let mut say = |text: &str| stream.write_all(text.as_bytes()).is_ok();
    let whole = |status: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    match answer {
        Answer::Status(status) => say(&whole(status, "ok")),
        Answer::Body(status, body) => say(&whole(status, &body)),
        Answer::Raw(text) => {
            say(text);
            false
        }
        Answer::Drop => false,
        Answer::Hang => {
            thread::sleep(Duration::from_secs(60));
            false
        }
        Answer::EndlessHeaders => {
            say("HTTP/1.1 200 OK\r\n");
            while say("X-More: and more and more and more and more and more\r\n") {}
            false
        }
        Answer::Drip => {
            say("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            while say("o") {
                thread::sleep(Duration::from_millis(200));
            }
            false
        }
    }
}
