//! What the documentation shows is true: its commands are accepted, its records and configurations
//! are read, its links lead somewhere.

use std::collections::BTreeSet;
use std::path::PathBuf;

use chaos_common::config;
use chaos_common::record::Kind;
use chaos_tests::cluster::repository;
use chaos_tests::run::Place;
use chaos_tests::strict;
use serde_json::Value;

/// The most that README.md may have, in bytes: it is the front door.
const MAX_README: u64 = 9_000;

/// A configuration that is not there: a tool that complains of it has accepted its arguments, and
/// has done nothing.
const NO_CONFIG: &str = "no-such-configuration.toml";

/// What the tools say where an argument is missing.
const INCOMPLETE: &str = "required arguments were not provided";

/// A page of the documentation.
struct Page {
    path: PathBuf,
    text: String,
}

/// A fenced block of a page.
struct Block {
    /// Page and line, for a test that fails.
    place: String,
    language: String,
    text: String,
}

fn pages() -> Vec<Page> {
    let root = repository();
    let mut paths: Vec<PathBuf> = ["README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG"]
        .map(|name| root.join(format!("{name}.md")))
        .to_vec();
    let docs = std::fs::read_dir(root.join("docs")).expect("docs/ is there");
    paths.extend(docs.map(|entry| entry.expect("readable").path()));
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    paths.sort();
    let page = |path: PathBuf| {
        let text = std::fs::read_to_string(&path);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Page { path, text }
    };
    paths.into_iter().map(page).collect()
}

impl Page {
    fn name(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (number, line) in self.text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    open = Some(Block {
                        place: format!("{}:{}", self.name(), number + 1),
                        language: language.to_owned(),
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", self.name());
        blocks
    }

    /// The text without its fenced blocks.
    fn prose(&self) -> String {
        let mut inside = false;
        let lines = self.text.lines().filter(|line| {
            let fence = line.trim_start().starts_with("```");
            inside ^= fence;
            !inside && !fence
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The anchors of its headings, as GitHub makes them.
    fn anchors(&self) -> BTreeSet<String> {
        let prose = self.prose();
        let headings = prose.lines().filter_map(|line| {
            let title = line.trim_start_matches('#');
            (title.len() < line.len()).then(|| title.trim().to_lowercase())
        });
        let anchor = |title: String| -> String {
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        };
        headings.map(anchor).collect()
    }
}

fn blocks(language: &str) -> Vec<Block> {
    let pages = pages();
    let all = pages.iter().flat_map(Page::blocks);
    all.filter(|block| block.language == language).collect()
}

/// The commands of a line of shell, each as its words. Redirections are left out.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    for c in line.chars().chain(['\n']) {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ' ' | '\t' | '\n' | '|' | ';' | '&') => {
                let last = commands.last_mut().expect("there is one always");
                last.extend(word.take());
                if "|;&".contains(c) {
                    commands.push(Vec::new());
                }
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    let last = commands.last_mut().expect("there is one always");
    last.extend(word.take());
    for command in &mut commands {
        let mut target_follows = false;
        command.retain(|word| {
            let redirection = word.trim_start_matches(char::is_numeric);
            let redirection = redirection.starts_with(['<', '>']);
            let keep = !redirection && !target_follows;
            target_follows = redirection && word.ends_with(['<', '>']);
            keep
        });
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// What is wrong with a command, if something is.
fn rejected(place: &Place, command: &[String]) -> Option<String> {
    let [program, rest @ ..] = command else {
        return None;
    };
    if program == "cargo" {
        return None;
    }
    // In a crontab, times and the user's name stand before the tool.
    let is_tool = |word: &String| super::TOOLS.contains(&word.as_str());
    if let Some(at) = command.iter().position(is_tool) {
        return tool_rejects(place, &command[at], &command[at + 1..]);
    }
    if program == "make" {
        let targets = std::fs::read_to_string(repository().join("Makefile")).expect("readable");
        let target = rest.iter().find(|word| !word.contains('='))?;
        let known = targets
            .lines()
            .any(|l| l.starts_with(&format!("{target}:")));
        return (!known).then(|| format!("there is no target {target}"));
    }
    // The runbook's scripts are in PATH where they are installed.
    let there = ["", "scripts"].map(|folder| repository().join(folder).join(program).is_file());
    let script = program.rsplit_once('.').is_some_and(|(_, end)| end == "sh");
    (script && !there.contains(&true)).then(|| "there is no such script".to_owned())
}

fn tool_rejects(place: &Place, tool: &str, args: &[String]) -> Option<String> {
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.iter().position(|word| *word == "--config") {
        Some(at) => args[at + 1] = NO_CONFIG,
        None => args.extend(["--config", NO_CONFIG]),
    }
    let ran = place.tool(tool, &args);
    // What the tool itself complains of begins with its name.
    let rejected = ran.stderr().starts_with("error: ");
    rejected.then(|| ran.show())
}

#[test]
fn the_commands_in_the_documentation_are_accepted() {
    let place = Place::new();
    let mut wrong = Vec::new();
    let mut seen = 0;
    // Prose may name a command without what it needs.
    let mut try_line = |at: &str, line: &str, in_prose: bool| {
        for command in commands(line) {
            seen += 1;
            let why = rejected(&place, &command);
            let why = why.filter(|why| !(in_prose && why.contains(INCOMPLETE)));
            wrong.extend(why.map(|why| format!("{at}: {}\n{why}", command.join(" "))));
        }
    };
    for block in blocks("sh").into_iter().chain(blocks("cron")) {
        for line in block.text.replace("\\\n", " ").lines() {
            try_line(&block.place, line, false);
        }
    }
    for page in pages() {
        let prose = page.prose();
        let spans = prose.split('`').skip(1).step_by(2);
        // A tool's name alone is no command.
        let of_tool = |span: &&str| {
            let program = span.split_once(char::is_whitespace);
            program.is_some_and(|(program, _)| super::TOOLS.contains(&program))
        };
        for span in spans.filter(of_tool) {
            try_line(&page.name(), &span.replace('\n', " "), true);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(seen > 50, "only {seen} commands were found");
}

#[test]
fn the_records_in_the_documentation_are_read_strictly() {
    let mut kinds = BTreeSet::new();
    for block in blocks("json") {
        for record in serde_json::Deserializer::from_str(&block.text).into_iter::<Value>() {
            let record = record.unwrap_or_else(|error| panic!("{}: {error}", block.place));
            let record = strict::read(&record.to_string());
            let record = record.unwrap_or_else(|why| panic!("{}: {why}", block.place));
            kinds.insert(record["schema"].as_str().expect("a text").to_owned());
        }
    }
    for kind in Kind::ALL {
        assert!(
            kinds.contains(&kind.schema()),
            "no {} is shown",
            kind.name()
        );
    }
}

#[test]
fn the_configurations_in_the_documentation_are_loaded() {
    let place = Place::new();
    let blocks = blocks("toml");
    assert!(!blocks.is_empty());
    for block in blocks {
        let path = place.file("chaos.toml", &block.text);
        if let Err(failure) = config::load(Some(&path)) {
            panic!("{}: {failure}", block.place);
        }
    }
}

#[test]
fn the_links_in_the_documentation_lead_somewhere() {
    let pages = pages();
    for page in &pages {
        for rest in page.prose().split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let folder = page.path.parent().expect("a folder");
            let path = if file.is_empty() {
                page.path.clone()
            } else {
                folder.join(file)
            };
            assert!(path.exists(), "{}: {target} is not there", page.name());
            let path = path.canonicalize().expect("it exists");
            let linked = pages.iter().find(|page| {
                let known = page.path.canonicalize();
                known.is_ok_and(|known| known == path)
            });
            if let (Some(linked), false) = (linked, anchor.is_empty()) {
                let there = linked.anchors().contains(anchor);
                assert!(there, "{}: no heading for {target}", page.name());
            }
        }
    }
}

#[test]
fn the_front_door_stays_small() {
    let readme = std::fs::metadata(repository().join("README.md")).expect("it is there");
    assert!(readme.len() <= MAX_README, "{} bytes", readme.len());
}

#[test]
fn commands_are_taken_apart_as_a_shell_does() {
    let line = "a -x 'b c' <in 2>err | d --e=f && g \"h # i\" > out  # j";
    let expected = [
        vec!["a", "-x", "b c"],
        vec!["d", "--e=f"],
        vec!["g", "h # i"],
    ];
    assert_eq!(commands(line), expected);
}
