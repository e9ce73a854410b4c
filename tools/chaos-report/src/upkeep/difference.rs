//! What changes in a document, for people.

use std::fmt::Write as _;

/// The lines around what changed that are shown.
const AROUND: usize = 3;

/// The changed lines in the form of `diff -u`, as one hunk: nothing if there are none.
pub(crate) fn difference(name: &str, before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let front = old.iter().zip(&new).take_while(same).count();
    let rest = (&old[front..], &new[front..]);
    let back = rest.0.iter().rev().zip(rest.1.iter().rev());
    let back = back.take_while(same).count();
    if before == after {
        return String::new();
    }
    let start = front.saturating_sub(AROUND);
    let end = |lines: &[&str]| (lines.len() - back + AROUND).min(lines.len());
    let mut out = format!(
        "--- {name}\n+++ {name}\n@@ -{},{} +{},{} @@\n",
        start + 1,
        end(&old) - start,
        start + 1,
        end(&new) - start
    );
    let mut put = |sign: char, lines: &[&str]| {
        for line in lines {
            let _ = writeln!(out, "{sign}{line}");
        }
    };
    put(' ', &old[start..front]);
    put('-', &old[front..old.len() - back]);
    put('+', &new[front..new.len() - back]);
    put(' ', &old[old.len() - back..end(&old)]);
    out
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn only_what_changed_is_shown_with_some_lines_around() {
        assert_eq!(difference("f", "a\nb\n", "a\nb\n"), "");
        let before = "1\n2\n3\n4\n5\nold\n6\n7\n8\n9\n";
        let after = before.replace("old", "new\nnewer");
        assert_eq!(
            difference("f", before, &after),
            "--- f\n+++ f\n@@ -3,7 +3,8 @@\n 3\n 4\n 5\n-old\n+new\n+newer\n 6\n 7\n 8\n"
        );
        assert_eq!(
            difference("f", "", "a\n"),
            "--- f\n+++ f\n@@ -1,0 +1,1 @@\n+a\n"
        );
    }
}
