//! Runs as traces, at a collector of the test's own that takes OTLP over HTTP.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use prost::Message as _;

use crate::{Bench, feed, last, stderr, stdout};

/// A request as the collector got it.
struct Taken {
    line: String,
    headers: String,
    body: Vec<u8>,
}

/// A collector that answers every request with this status line, and where it is.
fn collector(answer: &'static str) -> (String, mpsc::Receiver<Taken>) {
    collector_with(answer, Vec::new())
}

/// One that has something to say.
fn collector_with(answer: &'static str, says: Vec<u8>) -> (String, mpsc::Receiver<Taken>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = format!("http://{}", listener.local_addr().expect("bound"));
    let (send, taken) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.expect("a connection"));
            let mut line = String::new();
            stream.read_line(&mut line).expect("a request");
            let (mut headers, mut length) = (String::new(), 0);
            loop {
                let mut header = String::new();
                stream.read_line(&mut header).expect("a header");
                if header.trim().is_empty() {
                    break;
                }
                let header = header.to_lowercase();
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
                headers.push_str(&header);
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).expect("a body");
            let length = says.len();
            let head = format!("HTTP/1.1 {answer}\r\ncontent-length: {length}\r\n");
            let reply = [head.as_bytes(), b"connection: close\r\n\r\n", &says].concat();
            stream.get_mut().write_all(&reply).expect("sent");
            // The test may have seen enough.
            let _ = send.send(Taken {
                line,
                headers,
                body,
            });
        }
    });
    (place, taken)
}

fn real(name: &str) -> Vec<u8> {
    std::fs::read(format!("tests/report/real/{name}.ndjson")).expect("a stream")
}

/// Reports on a stream with these variables set.
fn report(stream: &[u8], variables: &[(&str, &str)]) -> std::process::Output {
    let bench = Bench::new();
    let mut command = bench.command(&[]);
    command.envs(variables.iter().copied());
    feed(command, stream)
}

fn spans(taken: &Taken) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(&taken.body[..]).expect("protobuf");
    let scopes = request.resource_spans.into_iter();
    let scopes = scopes.flat_map(|it| it.scope_spans);
    scopes.flat_map(|it| it.spans).collect()
}

fn check(output: &std::process::Output) -> serde_json::Value {
    let record = last(output);
    let checks = record["data"]["checks"].as_array().expect("checks").clone();
    let found = checks.into_iter().find(|it| it["id"] == "report.trace");
    found.unwrap_or(serde_json::Value::Null)
}

#[test]
fn a_run_becomes_a_trace_with_a_span_for_each_tool_and_phase() {
    for name in ["pod-failure", "network-partition"] {
        let (place, taken) = collector("200 OK");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", place.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=shop"),
        ];
        let stream = real(name);
        let output = report(&stream, &variables);
        assert_eq!(check(&output)["status"], "pass", "{}", stderr(&output));
        let taken_once = taken.recv().expect("a request");
        assert!(taken_once.line.starts_with("POST /v1/traces "));
        assert!(taken_once.headers.contains("x-tenant: shop"));
        let spans_once = spans(&taken_once);
        let by_id: HashMap<&[u8], &Span> = spans_once
            .iter()
            .map(|span| (span.span_id.as_slice(), span))
            .collect();
        assert_eq!(by_id.len(), spans_once.len(), "an id each");
        let root = &spans_once[0];
        assert!(root.name.starts_with(name), "{}", root.name);
        assert!(root.parent_span_id.is_empty());
        let status = root.status.as_ref().expect("a status");
        assert_eq!(status.code, StatusCode::Ok as i32);
        for span in &spans_once[1..] {
            let parent = by_id[span.parent_span_id.as_slice()];
            assert_eq!(span.trace_id, root.trace_id);
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
            let inside = span.start_time_unix_nano >= parent.start_time_unix_nano
                && span.end_time_unix_nano <= parent.end_time_unix_nano;
            assert!(inside, "{} is not inside {}", span.name, parent.name);
        }
        let names: Vec<&str> = spans_once.iter().map(|span| span.name.as_str()).collect();
        for wanted in [
            "chaos.health",
            "chaos.experiment",
            "chaos.verification",
            "preparation",
        ] {
            assert!(names.contains(&wanted), "{wanted} is not in {names:?}");
        }
        let parted = name == "network-partition";
        assert_eq!(names.contains(&"fault"), parted, "{names:?}");
        let experiment = spans_once.iter().find(|it| it.name == "chaos.experiment");
        let events = &experiment.expect("there").events;
        let injected = |kind: &str| {
            let is = |it: &opentelemetry_proto::tonic::trace::v1::span::Event| {
                format!("{:?}", it.attributes).contains(&format!("\"{kind}\""))
            };
            events.iter().any(is)
        };
        assert!(injected("injected") && injected("restored"), "{events:?}");
        // Once more is the same trace.
        report(&stream, &variables);
        assert_eq!(spans(&taken.recv().expect("a request")), spans_once);
    }
}

#[test]
fn nothing_is_exported_unasked_and_a_collector_that_fails_is_told_and_changes_no_verdict() {
    let (place, taken) = collector("503 Service Unavailable");
    let stream = real("pod-failure");
    let plain = report(&stream, &[]);
    let off = report(
        &stream,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", place.as_str()),
            ("OTEL_SDK_DISABLED", "true"),
        ],
    );
    for output in [&plain, &off] {
        assert_eq!(check(output), serde_json::Value::Null, "{}", stdout(output));
    }
    assert!(taken.try_recv().is_err());
    let failed = report(
        &stream,
        &[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", place.as_str())],
    );
    let nowhere = report(
        &stream,
        &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")],
    );
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let place = format!("http://{}", silent.local_addr().expect("bound"));
    let unanswered = report(
        &stream,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", place.as_str()),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
        ],
    );
    for (output, why) in [
        (&failed, "503"),
        (&nowhere, "127.0.0.1:9"),
        (&unanswered, place.as_str()),
    ] {
        let check = check(output);
        assert_eq!(check["status"], "warn", "{check}");
        let told = stderr(output);
        assert!(
            told.contains("cannot export the trace") && told.contains(why),
            "{told}"
        );
        assert_eq!(output.status.code(), plain.status.code());
    }
}

#[test]
fn spans_that_a_collector_refuses_are_told_though_it_says_ok() {
    let partly = |rejected_spans, error_message: &str| {
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: error_message.to_owned(),
        });
        ExportTraceServiceResponse { partial_success }.encode_to_vec()
    };
    let stream = real("pod-failure");
    for (says, status, told) in [
        (
            partly(2, "too old"),
            "warn",
            "refused 2 of its spans: too old",
        ),
        (partly(3, ""), "warn", "refused 3 of its spans"),
        // A warning: everything was taken.
        (partly(0, "soon deprecated"), "pass", "exported as a trace"),
        (b"<html>ok</html>".to_vec(), "pass", "exported as a trace"),
    ] {
        let (place, _taken) = collector_with("200 OK", says);
        let output = report(&stream, &[("OTEL_EXPORTER_OTLP_ENDPOINT", place.as_str())]);
        let check = check(&output);
        assert_eq!(check["status"], status, "{check}");
        let message = check["message"].as_str().expect("a message");
        assert!(message.contains(told), "{message}");
        // It was reached: the way to it is not what has to be mended.
        let hint = check["hint"].as_str();
        assert_eq!(hint.is_some(), status == "warn", "{check}");
        assert!(
            hint.is_none_or(|hint| hint.starts_with("see the collector's log")),
            "{check}"
        );
    }
}
