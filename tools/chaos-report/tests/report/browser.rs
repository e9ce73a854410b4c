//! The HTML in a real browser, and the Markdown through a real renderer: what people will see.
//!
//! Needs Chromium, cmark-gfm and axe-core, which `scripts/setup.sh --look` installs: `make look`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use chaos_common::record::{Check, Outcome};
use serde_json::Value;

use crate::archive::archived;
use crate::fixture::Run;
use crate::formats::{HOSTILE, drawn, hostile, made};
use crate::{Bench, feed};

/// Widths of a desktop's and of a small window, in pixels: Chromium makes none narrower than this.
const WIDTHS: [u32; 2] = [1200, 500];

/// Runs that look different.
fn runs() -> Vec<(&'static str, Run)> {
    let mut fail = drawn();
    let checks = &mut fail.verification().checks;
    checks.push(Check::fail("data.table", "orders", "2 rows lost").hint("restore them"));
    checks.push(Check::unknown("data.role", "db", "no right"));
    let mut not_restored = drawn();
    not_restored.experiment().outcome = Outcome::NotRestored;
    not_restored.experiment().restored = None;
    let mut killed = drawn();
    killed.events.truncate(1);
    (killed.experiment, killed.verification) = (None, None);
    vec![
        ("pass", drawn()),
        ("fail", fail),
        ("not-restored", not_restored),
        ("killed", killed),
        ("hostile", hostile(HOSTILE)),
    ]
}

fn html(bench: &Bench) -> PathBuf {
    bench.files(".html").remove(0)
}

/// Chromium with a window of this width, and what it printed.
fn chromium(width: u32, dark: bool, args: &[&str]) -> Output {
    let profile = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
        ])
        .args([
            "--disable-component-update",
            "--no-first-run",
            "--virtual-time-budget=20000",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},900"))
        .args(dark.then_some("--force-dark-mode"))
        .args(args);
    let output = command
        .output()
        .expect("chromium is there: scripts/setup.sh --look");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The page with axe-core in it, which writes what it finds into the page.
fn with_axe(page: &Path) -> PathBuf {
    let cache = std::env::var_os("CHAOS_CACHE").map(PathBuf::from);
    let cache = cache.expect("CHAOS_CACHE is set: make look");
    let axe = std::fs::read_to_string(cache.join("axe/package/axe.min.js"));
    let axe = axe.expect("axe-core is there: scripts/setup.sh --look");
    let run = "addEventListener('load', () => axe.run(document, {resultTypes: ['violations']})\
         .then(found => { const out = document.createElement('pre'); out.id = 'found';\
         const broken = found.violations.map(v => v.id + ': ' + v.nodes[0].html);\
         const wide = document.documentElement.scrollWidth > innerWidth;\
         out.textContent = JSON.stringify({broken, wide}); document.body.append(out); }));";
    let html = std::fs::read_to_string(page).expect("readable");
    // The page itself forbids all scripts.
    let open = html.replace("default-src 'none';", "");
    let html = open.replace(
        "</body>",
        &format!("<script>{axe}</script><script>{run}</script></body>"),
    );
    let path = page.with_extension("axe.html");
    std::fs::write(&path, html).expect("writable");
    path
}

/// Each page that there is: the reports of different runs, and a review.
fn pages() -> Vec<(&'static str, Bench, PathBuf)> {
    let report = |(name, run): (&'static str, Run)| {
        let bench = made(&run);
        let page = html(&bench);
        (name, bench, page)
    };
    let mut pages: Vec<_> = runs().into_iter().map(report).collect();
    let bench = Bench::new();
    for (day, id) in [
        ("2026-10-01", "a"),
        ("2026-10-02", "b"),
        ("2026-11-01", "c"),
    ] {
        archived(&bench, day, id, |run| {
            if id == "b" {
                let check = Check::fail("data.table", HOSTILE, "2 rows lost");
                run.verification().checks.push(check);
            }
        });
    }
    bench.run(&["review", "year", "2026"], b"");
    let page = bench.archive().join("yearly-2026.html");
    pages.push(("review", bench, page));
    pages
}

#[test]
#[ignore = "needs chromium and axe-core: make look"]
fn axe_finds_nothing_in_either_theme_at_any_width_and_nothing_is_wider_than_the_page() {
    for (name, _bench, page) in pages() {
        let page = with_axe(&page);
        for (width, dark) in WIDTHS.into_iter().flat_map(|w| [(w, false), (w, true)]) {
            let url = format!("file://{}", page.display());
            let output = chromium(width, dark, &["--dump-dom", &url]);
            let dom = String::from_utf8_lossy(&output.stdout).into_owned();
            let found = dom.rsplit_once("<pre id=\"found\">").map(|(_, rest)| rest);
            let found = found
                .and_then(|rest| rest.split_once("</pre>"))
                .map(|(found, _)| found);
            let found = found.unwrap_or_else(|| panic!("{name}: axe did not end: {dom}"));
            let found: Value = serde_json::from_str(found).expect("JSON");
            assert_eq!(found["broken"], serde_json::json!([]), "{name} at {width}");
            assert_eq!(found["wide"], false, "{name} at {width}");
        }
    }
}

/// A server that notes what is asked of it, also on behalf of others.
fn listen(page: Vec<u8>) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let line = answer(&stream, &page);
            noted.lock().expect("no panic").extend(line);
        }
    });
    (port, asked)
}

fn answer(mut stream: &TcpStream, page: &[u8]) -> Option<String> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut line).ok()?;
    let mut header = String::new();
    while reader.read_line(&mut header).ok()? > 2 {
        header.clear();
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        page.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(page).ok()?;
    Some(line)
}

#[test]
#[ignore = "needs chromium: make look"]
fn the_browser_asks_for_the_page_alone_and_says_nothing_on_its_console() {
    for (name, _bench, page) in pages() {
        let page = std::fs::read(page).expect("readable");
        let (port, asked) = listen(page);
        let proxy = format!("--proxy-server=127.0.0.1:{port}");
        let log = ["--enable-logging=stderr", "--proxy-bypass-list=<-loopback>"];
        let url = "http://report.test/";
        let output = chromium(1200, false, &[&proxy, log[0], log[1], "--dump-dom", url]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("CONSOLE"), "{name}: {said}");
        let dom = String::from_utf8_lossy(&output.stdout);
        assert!(
            dom.contains("<p class=\"kind\">Chaos Engineering "),
            "{name}: {dom}"
        );
        let asked = asked.lock().expect("no panic").clone();
        let of_page: Vec<&String> = asked
            .iter()
            .filter(|line| line.contains("report.test"))
            .collect();
        assert_eq!(
            of_page,
            ["GET http://report.test/ HTTP/1.1\r\n"],
            "{name}: {asked:?}"
        );
        let elsewhere = asked.iter().filter(|line| !line.contains("report.test"));
        let elsewhere: Vec<&String> = elsewhere.filter(|line| !is_chromiums_own(line)).collect();
        assert!(elsewhere.is_empty(), "{name}: {elsewhere:?}");
    }
}

/// What the browser asks for by itself, whatever it shows.
fn is_chromiums_own(line: &str) -> bool {
    ["google.com", "googleapis.com", "gvt1.com"]
        .iter()
        .any(|host| line.contains(host))
}

#[test]
#[ignore = "needs chromium: make look"]
fn it_prints() {
    let bench = made(&drawn());
    let page = html(&bench);
    let pdf = page.with_extension("pdf");
    let print = format!("--print-to-pdf={}", pdf.display());
    chromium(
        1200,
        false,
        &[&print, &format!("file://{}", page.display())],
    );
    let bytes = std::fs::metadata(&pdf).expect("printed").len();
    // A pattern that becomes a bitmap would be tens of megabytes.
    assert!((10_000..5_000_000).contains(&bytes), "{bytes} bytes");
}

#[test]
#[ignore = "needs cmark-gfm: make look"]
fn markdown_is_rendered_as_it_is_meant_and_hostile_text_stays_text() {
    for (name, run) in runs() {
        let bench = made(&run);
        for ending in [".md", ".summary.txt"] {
            let mut command = Command::new("cmark-gfm");
            command.args([
                "--unsafe",
                "-e",
                "table",
                "-e",
                "autolink",
                "-e",
                "strikethrough",
            ]);
            let output = feed(command, bench.only(ending).as_bytes());
            let html = String::from_utf8(output.stdout).expect("UTF-8");
            assert!(html.contains("<table>"), "{name}{ending}: {html}");
            for tag in [
                "<script",
                "<img",
                "<h2>Forged",
                "href=\"javascript",
                "| ---",
            ] {
                assert!(!html.contains(tag), "{name}{ending}: {tag} in {html}");
            }
            let (open, closed) = (
                html.matches("<details").count(),
                html.matches("</details>").count(),
            );
            assert_eq!(open, closed, "{name}{ending}");
        }
        if name == "hostile" {
            let markdown = bench.only(".md");
            assert!(markdown.contains("&lt;script&gt;"), "{markdown}");
        }
    }
}
