//! `make install` and `make uninstall`, with the programs of this build: every part is put in place
//! and does what it is for, and nothing stays behind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use chaos_tests::cluster::repository;
use chaos_tests::run::{Place, Ran, bin};

/// The scripts of those who work on this repository.
const FOR_DEVELOPERS: [&str; 16] = [
    "bench", "build", "demo", "dist", "fuzz", "image", "install", "lib", "lint", "postgres",
    "sbom", "setup", "sweep", "test", "truth", "versions",
];

/// Every file and folder below a folder, by its path from there.
fn tree(folder: &Path) -> BTreeSet<PathBuf> {
    fn walk(folder: &Path, top: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("readable").path();
            if path.is_dir() && !path.is_symlink() {
                walk(&path, top, found);
            }
            let name = path.strip_prefix(top).expect("it is below");
            found.insert(name.to_owned());
        }
    }
    let mut found = BTreeSet::new();
    walk(folder, folder, &mut found);
    found
}

/// A place, and a prefix in it that is not there yet.
fn place() -> (Place, PathBuf) {
    let place = Place::new();
    let prefix = place.path().join("prefix");
    let place = place.env("PREFIX", &prefix).env("PROGRAMS", bin());
    (place, prefix)
}

fn install(place: &Place, word: &str) -> Ran {
    let script = repository().join("scripts/install.sh");
    place.tool(&script.display().to_string(), &[word])
}

#[test]
fn all_of_it_is_put_in_place_and_uninstall_leaves_nothing() {
    let (place, prefix) = place();
    install(&place, "install")
        .exits(0)
        .prints("6 programs")
        .prints("note: chaos-health in PATH is");
    for tool in super::TOOLS {
        let program = prefix.join("bin").join(tool);
        place
            .tool(&program.display().to_string(), &["--version"])
            .exits(0)
            .prints(tool);
        let name = tool.trim_start_matches("chaos-").replace('-', "_");
        let link = prefix.join(format!("bin/kubectl-chaos-{name}"));
        assert_eq!(
            std::fs::read_link(&link).ok(),
            Some(tool.into()),
            "{link:?}"
        );
    }
    let documents = prefix.join("share/doc/chaos-runbook");
    for name in ["README.md", "CHANGELOG.md", "LICENSE-MIT", "docs/health.md"] {
        assert!(documents.join(name).is_file(), "{name}");
    }
    assert!(prefix.join("share/chaos-runbook/ecommerce.toml").is_file());
    // Once more changes nothing.
    let before = tree(&prefix);
    install(&place, "install").exits(0);
    assert_eq!(tree(&prefix), before);
    install(&place, "uninstall").exits(0).prints("taken away");
    assert!(!prefix.exists(), "{:?}", tree(&prefix));
    install(&place, "uninstall")
        .exits(1)
        .says("nothing was installed below");
}

#[test]
fn every_script_is_for_users_and_installed_or_for_developers() {
    let (place, prefix) = place();
    install(&place, "install").exits(0);
    let installed = tree(&prefix.join("share/chaos-runbook/scripts"));
    let scripts = tree(&repository().join("scripts"));
    let scripts = scripts.iter().filter(|path| {
        let is_script = path.extension().is_some_and(|end| end == "sh");
        is_script && path.components().count() == 1
    });
    for script in scripts {
        let stem = script.file_stem().unwrap_or_default().to_string_lossy();
        let for_developers = FOR_DEVELOPERS.contains(&stem.as_ref());
        assert_ne!(
            installed.contains(script),
            for_developers,
            "scripts/{stem}.sh is either in the list for_users of scripts/install.sh or here"
        );
    }
    assert!(installed.contains(Path::new("experiment.sh")));
}

#[test]
fn there_is_a_man_page_without_faults_for_every_command() {
    let (place, prefix) = place();
    install(&place, "install").exits(0);
    let pages = prefix.join("share/man/man1");
    let commands = super::examples::commands(&place);
    let mut all = String::new();
    for command in &commands {
        let page = pages.join(format!("{}.1", command.name.replace(' ', "-")));
        let text = std::fs::read_to_string(&page);
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for part in [".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH EXAMPLES"] {
            assert!(text.contains(part), "{}: no {part}", page.display());
        }
        all = format!("{all} {}", page.display());
    }
    assert_eq!(tree(&pages).len(), commands.len());
    let ran = place.shell(&format!(
        "LC_ALL=C.UTF-8 man --warnings=w -l {all} >/dev/null"
    ));
    assert_eq!(ran.exits(0).stderr(), "");
    // What `apropos` will know of each.
    let known = place.shell(&format!("lexgrog {all}")).exits(0);
    let known = known.prints("chaos-health - Check pods, services");
    assert_eq!(known.stdout().lines().count(), commands.len());
}

#[test]
fn completions_complete_and_do_not_offer_what_is_hidden() {
    let (place, prefix) = place();
    install(&place, "install").exits(0);
    let share = prefix.join("share").display().to_string();
    let path = format!("{}/bin:/usr/bin:/bin", prefix.display());
    let place = place.env("XDG_DATA_DIRS", &share).env("PATH", path);
    let complete = |words: &str| {
        let last = words.split(' ').count() - 1;
        let script = format!(
            ". /usr/share/bash-completion/bash_completion\n\
             COMP_WORDS=({words}); COMP_CWORD={last}\n\
             _completion_loader {tool}\n\
             $(complete -p {tool} | sed 's/.*-F \\([^ ]*\\).*/\\1/') {tool} \"${{COMP_WORDS[-1]}}\" \
             \"${{COMP_WORDS[-2]}}\"\n\
             echo \"${{COMPREPLY[@]}}\"",
            tool = words.split(' ').next().unwrap_or_default(),
        );
        place.shell(&script).exits(0).stdout()
    };
    assert_eq!(complete("chaos-health ini").trim(), "init");
    assert_eq!(complete("chaos-backup-check dr").trim(), "drill");
    assert_eq!(complete("chaos-inject plan pod").trim(), "pod-failure");
    assert_eq!(complete("chaos-inject gu").trim(), "", "it is hidden");
    let fish = place.tool("fish", &["-c", "complete -C 'chaos-health ini'"]);
    fish.exits(0).prints("init\tLook at a namespace");
    let zsh = format!(
        "fpath=({share}/zsh/site-functions $fpath); autoload -Uz compinit; compinit -u -D\n\
         for tool in {tools}; do print -- $tool $_comps[$tool]; autoload +X $_comps[$tool]; done",
        tools = super::TOOLS.join(" "),
    );
    let zsh = place.tool("zsh", &["-f", "-c", &zsh]).exits(0);
    for tool in super::TOOLS {
        assert!(zsh.stdout().contains(&format!("{tool} _{tool}\n")));
    }
}

#[test]
fn an_installation_that_broke_off_is_put_right_or_taken_away() {
    let (place, prefix) = place();
    let in_the_way = prefix.join("share/doc/chaos-runbook/README.md/a");
    std::fs::create_dir_all(&in_the_way).expect("a folder can be made");
    let others = prefix.join("share/man/man1/others.1");
    std::fs::create_dir_all(others.parent().expect("a folder")).expect("a folder can be made");
    std::fs::write(&others, "").expect("a file can be written");
    let before = tree(&prefix);
    let broken = install(&place, "install");
    assert_ne!(broken.exits_any(), Some(0), "{}", broken.show());
    let broken = broken.says("NOT ALL of it is in place");
    assert!(
        prefix.join("bin/chaos-health").exists(),
        "{}",
        broken.show()
    );
    install(&place, "uninstall").exits(0);
    assert_eq!(tree(&prefix), before);
    install(&place, "install");
    std::fs::remove_dir_all(in_the_way.parent().expect("a folder")).expect("it can be removed");
    // A version before this one had a file that this one has not.
    let list = prefix.join("share/chaos-runbook/installed");
    let text = std::fs::read_to_string(&list).expect("it is there");
    std::fs::write(&list, format!("{text}bin/chaos-old\n")).expect("writable");
    std::fs::write(prefix.join("bin/chaos-old"), "").expect("writable");
    install(&place, "install").exits(0);
    assert!(!prefix.join("bin/chaos-old").exists());
    assert!(prefix.join("share/doc/chaos-runbook/README.md").is_file());
    install(&place, "uninstall").exits(0);
    assert!(others.exists());
    assert!(!prefix.join("bin").exists(), "{:?}", tree(&prefix));
}

#[test]
fn without_rights_nothing_is_changed_and_it_is_said_where_they_are_missing() {
    let (place, prefix) = place();
    std::fs::create_dir_all(&prefix).expect("a folder can be made");
    // What may not be written is not even built.
    let place = place.env("PROGRAMS", "");
    let script = repository().join("scripts/install.sh");
    // Root without the right to go past what a folder's mode says.
    let line = format!(
        "chmod 555 prefix; as=; [ $(id -u) != 0 ] || \
         as='setpriv --bounding-set=-dac_override,-dac_read_search --'\n$as {}",
        script.display()
    );
    let says = format!("you may not write to {}", prefix.display());
    place.shell(&line).exits(1).says(&says).says("PREFIX=");
    assert!(tree(&prefix).is_empty());
    let file = place.file("file", "");
    let place = place.env("PREFIX", &file);
    install(&place, "install").exits(1).says("is not a folder");
    place.shell("chmod 755 prefix").exits(0);
}

#[test]
fn a_list_that_names_other_places_is_not_followed() {
    let (place, prefix) = place();
    install(&place, "install").exits(0);
    let own = place.file("own", "");
    let list = prefix.join("share/chaos-runbook/installed");
    let text = std::fs::read_to_string(&list).expect("it is there");
    for bad in ["../own", "bin/../../own", "/etc/own"] {
        std::fs::write(&list, format!("{text}{bad}\n")).expect("writable");
        install(&place, "uninstall").exits(1).says("places outside");
        assert!(own.exists() && prefix.join("bin/chaos-health").exists());
    }
}
