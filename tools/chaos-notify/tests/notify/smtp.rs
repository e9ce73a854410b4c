//! A small SMTP server that answers as it is told and remembers the dialogue.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// How the server misbehaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It takes everything.
    Good,
    /// It puts off the first recipient that it is ever given.
    PutsOffFirstRecipient,
    /// It refuses `nobody@…`.
    RefusesNobody,
    /// It closes the connection once it has the whole message.
    DropsAfterMessage,
    /// It refuses the whole message.
    RefusesMessage,
    /// It closes the connection when DATA is asked for.
    DropsAtData,
}

/// What it was told.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    pub(crate) commands: Vec<String>,
    pub(crate) messages: Vec<String>,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

impl Server {
    pub(crate) fn new(manner: Manner) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                serve(&stream.expect("a connection"), manner, &shared);
            }
        });
        Server { port, seen }
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        self.seen
            .lock()
            .expect("no panic in the server")
            .messages
            .clone()
    }
}

fn serve(mut stream: &TcpStream, manner: Manner, seen: &Mutex<Seen>) {
    let first = {
        let mut seen = seen.lock().expect("no panic in the server");
        seen.connections += 1;
        seen.connections == 1
    };
    let mut reader = BufReader::new(stream);
    let mut say = |text: &str| drop(stream.write_all(format!("{text}\r\n").as_bytes()));
    say("220 test");
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap_or(0) > 0 {
        let command = line.trim_end().to_owned();
        line.clear();
        seen.lock()
            .expect("no panic in the server")
            .commands
            .push(command.clone());
        match command.split(' ').next().unwrap_or_default() {
            "EHLO" => say("250-test\r\n250 AUTH PLAIN"),
            "AUTH" => say("235 welcome"),
            "RCPT" if manner == Manner::PutsOffFirstRecipient && first => say("450 greylisted"),
            "RCPT" if manner == Manner::RefusesNobody && command.contains("nobody@") => {
                say("550 no such user");
            }
            "DATA" if manner == Manner::DropsAtData => return,
            "DATA" => {
                say("354 go on");
                let mut message = String::new();
                while !message.ends_with("\r\n.\r\n") {
                    if reader.read_line(&mut message).unwrap_or(0) == 0 {
                        return;
                    }
                }
                seen.lock()
                    .expect("no panic in the server")
                    .messages
                    .push(message);
                match manner {
                    Manner::DropsAfterMessage => return,
                    Manner::RefusesMessage => say("554 looks like spam"),
                    _ => say("250 queued as 1"),
                }
            }
            "QUIT" => {
                say("221 bye");
                return;
            }
            _ => say("250 ok"),
        }
    }
}
