//! Patterns of file names: `*` stands for any characters, `?` for one, all else for itself.

/// Whether a name is like a pattern.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut here) = (0, 0);
    // Where the last star stands, and how much of the name it has taken.
    let mut star: Option<(usize, usize)> = None;
    while here < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, here));
                at += 1;
            }
            Some(c) if *c == '?' || *c == name[here] => {
                at += 1;
                here += 1;
            }
            _ => {
                let Some((before, taken)) = star else {
                    return false;
                };
                star = Some((before, taken + 1));
                at = before + 1;
                here = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks_stand_for_others() {
        for (pattern, name) in [
            ("*.dump", "shop.dump"),
            ("*", ""),
            ("shop-????.*", "shop-2026.dump"),
            ("*a*b*c", "xxaxbxbyc"),
            ("[a].dump", "[a].dump"),
            ("ü?.dump", "üö.dump"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.dump", "shop.dump.gz"),
            ("?", ""),
            ("shop", "shop1"),
            ("*a*b*c", "acb"),
            ("A", "a"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        let long = "a".repeat(5000);
        assert!(
            !matches(&"*a".repeat(30), &format!("{long}b")),
            "soon enough"
        );
    }
}
