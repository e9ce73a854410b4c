//! A marked part of a document that is written anew, while every other byte stays as it is.

/// The line that the part begins with.
const BEGIN: &str = "<!-- chaos-report runbook: begin. What is written here is replaced. -->";
/// The line that it ends with.
const END: &str = "<!-- chaos-report runbook: end -->";

/// Why a document is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokenMarks {
    #[error("line {0} begins a marked part that does not end")]
    NoEnd(usize),
    #[error("line {0} ends a marked part that did not begin")]
    NoBegin(usize),
    #[error("line {0} begins a second marked part")]
    Twice(usize),
}

/// The document with this text in its marked part, which is added at the end where there is none.
/// Lines end as the document's first one
/// does.
///
/// # Errors
/// It can't be told where the marked part is.
pub(crate) fn with_section(document: &str, text: &str) -> Result<String, BrokenMarks> {
    let first = document.split_inclusive('\n').next().unwrap_or_default();
    let ending = if first.ends_with("\r\n") {
        "\r\n"
    } else {
        "\n"
    };
    let lines = [BEGIN].into_iter().chain(text.lines()).chain([END]);
    let part: String = lines.flat_map(|line| [line, ending]).collect();
    let Some((start, end)) = marks(document)? else {
        let gap = match document {
            "" => String::new(),
            text if text.ends_with('\n') => ending.to_owned(),
            _ => ending.repeat(2),
        };
        return Ok(format!("{document}{gap}{part}"));
    };
    // The line of the end mark keeps its own ending, or the lack of one at the end of the file.
    let part = if document[..end].ends_with('\n') {
        &part
    } else {
        part.trim_end_matches(ending)
    };
    Ok([&document[..start], part, &document[end..]].concat())
}

/// Where the marked part is, in bytes, with both marks.
fn marks(document: &str) -> Result<Option<(usize, usize)>, BrokenMarks> {
    let (mut begin, mut found, mut at) = (None, None, 0);
    for (number, line) in document.split_inclusive('\n').enumerate() {
        let number = number + 1;
        match line.trim_end() {
            BEGIN if begin.is_some() || found.is_some() => return Err(BrokenMarks::Twice(number)),
            BEGIN => begin = Some((at, number)),
            END => {
                let (start, _) = begin.take().ok_or(BrokenMarks::NoBegin(number))?;
                found = Some((start, at + line.len()));
            }
            _ => {}
        }
        at += line.len();
    }
    match begin {
        Some((_, number)) => Err(BrokenMarks::NoEnd(number)),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_other_byte_stays_and_a_second_writing_changes_nothing() {
        let odd = "# T  \n\n\ttext\u{a0}\n* a\n\n\n";
        for document in [
            "",
            odd,
            "no end of line",
            "# T\r\ntext\r\n",
            "\u{feff}# T\n",
        ] {
            let once = with_section(document, "## A\n\n- b\n").expect("no marks");
            assert!(once.starts_with(document), "{once:?}");
            assert_eq!(with_section(&once, "## A\n\n- b\n").as_ref(), Ok(&once));
            let other = with_section(&once, "## C\n").expect("good marks");
            assert_eq!(with_section(&other, "## A\n\n- b\n"), Ok(once));
        }
        let inside = with_section("a\n", "x\n").expect("no marks") + "behind\r\nit";
        let other = with_section(&inside, "y\nz\n").expect("good marks");
        assert!(
            other.starts_with("a\n") && other.ends_with("-->\nbehind\r\nit"),
            "{other:?}"
        );
        let cut = inside.trim_end_matches("\nbehind\r\nit");
        assert!(
            with_section(cut, "y\n")
                .expect("good marks")
                .ends_with("end -->")
        );
    }

    #[test]
    fn a_document_with_broken_marks_is_refused() {
        let of = |lines: &[&str]| with_section(&lines.join("\n"), "x");
        assert_eq!(of(&["a", BEGIN, "b"]), Err(BrokenMarks::NoEnd(2)));
        assert_eq!(of(&["a", END]), Err(BrokenMarks::NoBegin(2)));
        assert_eq!(of(&[BEGIN, BEGIN, END]), Err(BrokenMarks::Twice(2)));
        assert_eq!(of(&[BEGIN, END, BEGIN, END]), Err(BrokenMarks::Twice(3)));
        assert_eq!(of(&[BEGIN, END, END]), Err(BrokenMarks::NoBegin(3)));
    }
}
