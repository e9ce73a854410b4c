//! A small HTTP server that answers as it is told and remembers what it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What the server does with a request that it has read.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// Answers with this status line and further headers.
    Status(&'static str),
    /// Closes the connection without a word.
    Drop,
    /// Says nothing for longer than anybody waits.
    Hang,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// A server that gives these answers in turn, and the last of them ever after.
    pub(crate) fn new(answers: &[Answer]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, answers) = (Arc::clone(&requests), answers.to_vec());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, answers) = (Arc::clone(&seen), answers.clone());
                thread::spawn(move || serve(&stream.expect("a connection"), &seen, &answers));
            }
        });
        Server { port, requests }
    }

    /// The requests so far, head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests
            .lock()
            .expect("no panic in the server")
            .clone()
    }

    /// The body of the only request.
    pub(crate) fn body(&self) -> serde_json::Value {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        let (_, body) = requests[0]
            .split_once("\r\n\r\n")
            .expect("a head and a body");
        serde_json::from_str(body).expect("JSON")
    }
}

fn serve(mut stream: &TcpStream, seen: &Mutex<Vec<String>>, answers: &[Answer]) {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
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
        reader.read_exact(&mut body).expect("a whole body");
        let number = {
            let mut seen = seen.lock().expect("no panic in the server");
            seen.push(head + &String::from_utf8(body).expect("UTF-8"));
            seen.len() - 1
        };
        match answers[number.min(answers.len() - 1)] {
            Answer::Status(status) => {
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
                stream.write_all(answer.as_bytes()).expect("the tool reads");
            }
            Answer::Drop => return,
            Answer::Hang => thread::sleep(Duration::from_secs(60)),
        }
    }
}
