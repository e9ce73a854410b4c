//! A small HTTP server on the loopback interface.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// Status line and headers, and the body, of an answer to path and query.
pub type Answer = (String, String);

/// Serves what a function answers to path and query; gives the port. It ends with the test.
pub fn serve(respond: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> u16 {
    let respond = Arc::new(respond);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has one").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let respond = respond.clone();
            std::thread::spawn(move || answer(stream, &*respond));
        }
    });
    port
}

/// Answers requests until the other side goes away.
fn answer(stream: TcpStream, respond: &dyn Fn(&str, &str) -> Answer) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let (mut line, mut header) = (String::new(), String::new());
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut length = 0;
        while reader.read_line(&mut header).ok()? > 2 {
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            header.clear();
        }
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (head, body) = respond(path, query);
        let length = body.len();
        write!(
            writer,
            "HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n"
        )
        .ok()?;
        if method != "HEAD" {
            writer.write_all(body.as_bytes()).ok()?;
        }
    }
}
