//! What a tool says of itself besides its options: examples in its help, man pages, and completions
//! for shells. All of it is made from its own command line.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::{Generator as _, Shell, generate};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// The argument that, before a folder and with nothing else, has a tool write its man pages and
/// completions. `make install` gives it; people have no use for it, so no help names it.
const ARGUMENT: &str = "--write-manual";

/// Where completions are looked for, below `share`.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/site-functions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];

/// The folder to write the manual into, if that is what is asked for.
pub(crate) fn asked(words: &[impl AsRef<OsStr>]) -> Option<&Path> {
    match words {
        [_, argument, folder] if argument.as_ref() == ARGUMENT => Some(Path::new(folder.as_ref())),
        _ => None,
    }
}

/// Puts examples at the beginning of the help of a command and of each of its subcommands. `text`
/// has a paragraph for each: its name as it is typed, such as `chaos-health init`, and a line an
/// example.
pub(crate) fn with_examples(command: Command, text: &str) -> Command {
    let name = command.get_name().to_owned();
    add_examples(command, &name, text)
}

fn add_examples(command: Command, name: &str, text: &str) -> Command {
    let of_it = |paragraph: &str| {
        let lines = paragraph.strip_prefix(name)?.strip_prefix('\n')?;
        Some(format!("{EXAMPLES}\n{}", lines.trim_end()))
    };
    let command = match text.split("\n\n").find_map(of_it) {
        Some(examples) => command.before_help(examples),
        None => command,
    };
    command.mut_subcommands(|sub| {
        let name = format!("{name} {}", sub.get_name());
        add_examples(sub, &name, text)
    })
}

const EXAMPLES: &str = "Examples:";

/// Writes a man page for the command and each of its subcommands, and completions, into the folders
/// of `share` where they are looked for.
///
/// # Errors
/// A file or folder can't be written.
pub(crate) fn write(command: Command, share: &Path) -> io::Result<()> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let pages = share.join("man/man1");
    std::fs::create_dir_all(&pages)?;
    write_pages(&command, None, &pages)?;
    let mut visible = visible(&command);
    for (shell, folder) in COMPLETIONS {
        let folder = share.join(folder);
        std::fs::create_dir_all(&folder)?;
        let name = command.get_name();
        let text = completions(shell, &mut visible, name);
        std::fs::write(folder.join(shell.file_name(name)), text)?;
    }
    Ok(())
}

fn completions(shell: Shell, command: &mut Command, name: &str) -> Vec<u8> {
    let mut text = Vec::new();
    generate(shell, command, name, &mut text);
    if shell != Shell::Bash {
        return text;
    }
    // For a name with a dash, clap_complete 4.6.12 looks a subcommand up by another label than the
    // one it is given, so that nothing of it is completed.
    let text = String::from_utf8_lossy(&text);
    let label = |dash: &str| name.replace('-', dash) + "__subcmd__";
    text.replace(&label("__subcmd__"), &label("__")).into()
}

/// The command as completions shall know it: they would offer hidden subcommands as well.
fn visible(command: &Command) -> Command {
    let subcommands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let mut visible = Command::new(command.get_name().to_owned())
        .disable_help_subcommand(true)
        // They are among the arguments already.
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(command.get_arguments().cloned())
        .groups(command.get_groups().cloned())
        .subcommands(subcommands.map(visible));
    if let Some(about) = command.get_about() {
        visible = visible.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        visible = visible.version(version.to_owned());
    }
    visible
}

fn write_pages(command: &Command, above: Option<&str>, folder: &Path) -> io::Result<()> {
    let man = Man::new(command.clone());
    let file = folder.join(man.get_filename());
    std::fs::write(file, page(man, command, above)?)?;
    let name = command.get_display_name().or(Some(command.get_name()));
    let subcommands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    for sub in subcommands {
        write_pages(sub, name, folder)?;
    }
    Ok(())
}

/// The man page of a command that belongs to the one `above`.
fn page(man: Man, command: &Command, above: Option<&str>) -> io::Result<Vec<u8>> {
    let man = man
        .source(concat!("chaos-runbook ", env!("CARGO_PKG_VERSION")))
        .manual("chaos-runbook");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(|sub| !sub.is_hide_set()) {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::new();
    if let Some(text) = command.get_after_help() {
        statuses(&mut roff, &text.to_string());
    }
    if let Some(text) = command.get_before_help() {
        examples(&mut roff, &text.to_string());
    }
    if let Some(above) = above {
        roff.control("SH", ["SEE ALSO"]);
        roff.text([bold(above), roman("(1)")]);
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

fn statuses(roff: &mut Roff, text: &str) {
    roff.control("SH", ["EXIT STATUS"]);
    for line in text.trim_start_matches("Exit status: ").lines() {
        if line.trim().is_empty() {
            roff.control("PP", []);
        } else {
            roff.text([roman(line.trim())]);
        }
    }
}

fn examples(roff: &mut Roff, text: &str) {
    roff.control("SH", ["EXAMPLES"]);
    roff.control("nf", []);
    for line in text.lines().filter(|line| *line != EXAMPLES) {
        roff.text([roman(line.trim())]);
    }
    roff.control("fi", []);
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Arg;

    const TEXT: &str = "tool\n  tool show # all\n  tool --old\n\ntool show\n  tool show a\n";

    fn command() -> Command {
        let show = Command::new("show").about("Show it").arg(Arg::new("what"));
        let hidden = Command::new("guardian").hide(true);
        let tool = Command::new("tool").about("Does it").subcommand(show);
        let tool = tool
            .subcommand(hidden)
            .after_help("Exit status: 0 good.\n\nMore.");
        with_examples(tool, TEXT)
    }

    #[test]
    fn help_begins_with_the_examples_of_its_own_command() {
        let help = command().render_help().to_string();
        let begins = "Examples:\n  tool show # all\n  tool --old\n\nDoes it\n\nUsage:";
        assert!(help.starts_with(begins), "{help}");
        let mut tool = command();
        let show = tool.find_subcommand_mut("show").expect("it is there");
        let help = show.render_help().to_string();
        assert!(help.starts_with("Examples:\n  tool show a\n\n"), "{help}");
    }

    #[test]
    fn only_the_argument_alone_before_a_folder_asks_for_the_manual() {
        assert_eq!(
            asked(&["tool", ARGUMENT, "share"]),
            Some(Path::new("share"))
        );
        assert_eq!(asked(&["tool", ARGUMENT]), None);
        assert_eq!(asked(&["tool", "show", ARGUMENT, "share"]), None);
    }

    #[test]
    fn pages_and_completions_hold_what_is_not_hidden() {
        let share = tempfile::tempdir().expect("a folder can be made");
        write(command(), share.path()).expect("writable");
        let read = |name: &str| {
            let text = std::fs::read_to_string(share.path().join(name));
            text.unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let page = read("man/man1/tool.1");
        for part in [
            "tool \\- Does it",
            ".SH \"EXIT STATUS\"\n0 good.\n.PP\nMore.",
            ".SH EXAMPLES\n.nf\ntool show # all\ntool \\-\\-old\n.fi",
        ] {
            assert!(page.contains(part), "no {part:?} in\n{page}");
        }
        let page = read("man/man1/tool-show.1");
        assert!(page.ends_with("\\fBtool\\fR(1)\n"), "{page}");
        assert!(!share.path().join("man/man1/tool-guardian.1").exists());
        for name in [
            "bash-completion/completions/tool.bash",
            "zsh/site-functions/_tool",
            "fish/vendor_completions.d/tool.fish",
        ] {
            let text = read(name);
            assert!(
                text.contains("show") && !text.contains("guardian"),
                "{name}"
            );
        }
    }
}
