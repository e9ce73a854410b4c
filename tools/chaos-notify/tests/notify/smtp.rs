//! A small SMTP server that answers as it is told and remembers the dialogue.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How the server misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It takes everything.
    Good,
    /// It puts off the first recipient that it is ever given.
    PutsOffFirstRecipient,
    /// It refuses `nobody@…`.
    RefusesNobody,
    /// It puts off `slow@…` for ever.
    Greylists,
    /// It puts off everybody for ever.
    PutsOffEverybody,
    /// It refuses everybody.
    RefusesEverybody,
    /// It refuses the sender.
    RefusesSender,
    /// It closes the connection instead of a greeting.
    DropsAtGreeting,
    /// It greets with a temporary no.
    BusyAtGreeting,
    /// It says nothing.
    Silent,
    /// It closes the connection at the first recipient.
    DropsAtRecipient,
    /// It closes the connection when DATA is asked for.
    DropsAtData,
    /// It puts DATA off.
    PutsOffData,
    /// It closes the connection in the middle of the message.
    DropsWithinMessage,
    /// It closes the connection once it has the whole message.
    DropsAfterMessage,
    /// It says nothing once it has the whole message.
    SilentAfterMessage,
    /// It refuses the whole message.
    RefusesMessage,
    /// It puts the whole message off, once.
    PutsOffMessageOnce,
    /// It answers with what is no SMTP.
    Garbage,
    /// It refuses the login, and repeats what it was sent.
    RefusesLogin,
    /// It closes the connection at the end, without an answer to QUIT.
    DropsAtQuit,
}

/// What it was told.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    pub(crate) commands: Vec<String>,
    /// The messages that it said it had taken, or may have been thought to.
    pub(crate) messages: Vec<String>,
    /// How many recipients it took each for.
    pub(crate) recipients: Vec<usize>,
    put_off: bool,
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
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(&stream.expect("a connection"), manner, &shared));
            }
        });
        Server { port, seen }
    }

    pub(crate) fn messages(&self) -> Vec<String> {
        let seen = self.seen.lock();
        seen.expect("no panic in the server").messages.clone()
    }

    pub(crate) fn commands(&self) -> String {
        let seen = self.seen.lock();
        seen.expect("no panic in the server").commands.join("\n")
    }
}

/// What the server does next.
enum Next {
    Say(&'static str),
    Drop,
    Hang,
    Message,
}

fn next(command: &str, manner: Manner, seen: &mut Seen) -> Next {
    let first = seen.connections == 1;
    match command.split(' ').next().unwrap_or_default() {
        "EHLO" => Next::Say("250-test\r\n250 AUTH PLAIN"),
        "AUTH" if manner == Manner::RefusesLogin => Next::Say("535 AGNoYW9zAGh1bnRlcjI= is wrong"),
        "AUTH" => Next::Say("235 welcome"),
        "MAIL" => {
            seen.recipients.push(0);
            match manner {
                Manner::RefusesSender => Next::Say("550 sender rejected"),
                Manner::Garbage => Next::Say("what?"),
                _ => Next::Say("250 ok"),
            }
        }
        "RCPT" => match manner {
            Manner::PutsOffFirstRecipient if first => Next::Say("450 greylisted"),
            Manner::PutsOffEverybody => Next::Say("450 greylisted"),
            Manner::Greylists if command.contains("slow@") => Next::Say("450 greylisted"),
            Manner::RefusesEverybody => Next::Say("550 no such user"),
            Manner::RefusesNobody if command.contains("nobody@") => Next::Say("550 no such user"),
            Manner::DropsAtRecipient => Next::Drop,
            _ => {
                *seen.recipients.last_mut().expect("MAIL came first") += 1;
                Next::Say("250 ok")
            }
        },
        "DATA" => match manner {
            Manner::DropsAtData => Next::Drop,
            Manner::PutsOffData => Next::Say("451 later"),
            _ => Next::Message,
        },
        "QUIT" if manner == Manner::DropsAtQuit => Next::Drop,
        "QUIT" => Next::Say("221 bye"),
        _ => Next::Say("250 ok"),
    }
}

/// What it does with a message that it has read.
fn taken(message: String, manner: Manner, seen: &mut Seen) -> Next {
    if manner == Manner::PutsOffMessageOnce && !seen.put_off {
        seen.put_off = true;
        return Next::Say("451 try again");
    }
    if manner == Manner::RefusesMessage {
        return Next::Say("554 looks like spam");
    }
    seen.messages.push(message);
    match manner {
        Manner::DropsAfterMessage => Next::Drop,
        Manner::SilentAfterMessage => Next::Hang,
        _ => Next::Say("250 queued as 1"),
    }
}

fn serve(mut stream: &TcpStream, manner: Manner, seen: &Mutex<Seen>) {
    let lock = || seen.lock().expect("no panic in the server");
    lock().connections += 1;
    let mut reader = BufReader::new(stream);
    let mut say = |text: &str| drop(stream.write_all(format!("{text}\r\n").as_bytes()));
    match manner {
        Manner::DropsAtGreeting => return,
        Manner::BusyAtGreeting => say("421 busy"),
        Manner::Silent => thread::sleep(Duration::from_secs(60)),
        _ => say("220 test"),
    }
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap_or(0) > 0 {
        let command = line.trim_end().to_owned();
        line.clear();
        let mut to_do = {
            let mut seen = lock();
            seen.commands.push(command.clone());
            next(&command, manner, &mut seen)
        };
        if matches!(to_do, Next::Message) {
            say("354 go on");
            if manner == Manner::DropsWithinMessage {
                return;
            }
            let mut message = String::new();
            while !message.ends_with("\r\n.\r\n") {
                if reader.read_line(&mut message).unwrap_or(0) == 0 {
                    return;
                }
            }
            to_do = taken(message, manner, &mut lock());
        }
        match to_do {
            Next::Say(text) => say(text),
            Next::Hang => thread::sleep(Duration::from_secs(60)),
            Next::Drop | Next::Message => return,
        }
        if command == "QUIT" {
            return;
        }
    }
}
