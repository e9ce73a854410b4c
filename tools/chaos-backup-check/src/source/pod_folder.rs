//! The newest backup in a folder of a pod.

use chaos_common::cluster::exec::ExecTarget;

use super::Absent;
use super::dump_folder::is_member;
use super::pod::{absent, follow, list};
use super::selection::{Candidate, Seen, Selection};
use super::stat::{FILE, FOLDER, LINK, Stat};

/// Whether a folder with these files is a dump in directory format itself.
pub(super) fn is_dump(files: &[Stat]) -> bool {
    files.iter().any(|file| is_member(&file.name))
}

/// Finds it; gives its path.
pub(super) async fn newest(
    container: &ExecTarget,
    folder: &str,
    files: Vec<Stat>,
    selection: &Selection,
) -> Result<String, Absent> {
    let (files, seen) = in_order(files, selection);
    let folder = folder.trim_end_matches('/');
    for file in &files {
        let path = format!("{folder}/{}", file.name);
        // Of a link it is not known yet what it leads to.
        let leads_to_file = file.is(LINK)
            && match follow(container, &path).await {
                Ok(followed) => followed.stat.is(FILE),
                Err(_) => continue,
            };
        if file.is(FILE) || leads_to_file {
            return Ok(path);
        }
        let inside = list(container, &path, false).await;
        if is_dump(&inside.map_err(|why| absent(&why, None))?) {
            return Ok(path);
        }
    }
    Err(selection.none("a folder", seen))
}

/// What may be the backup, the newest first, and links last: their times are their own.
fn in_order(files: Vec<Stat>, selection: &Selection) -> (Vec<Stat>, Seen) {
    let mut seen = Seen::default();
    let may = |file: &Stat| {
        let kind = file.is(FILE) || file.is(LINK) || (selection.dumps && file.is(FOLDER));
        kind && selection.lets_in(&file.name, file.size, &mut seen)
    };
    let mut files: Vec<Stat> = files.into_iter().filter(may).collect();
    let key = |file: &Stat| {
        let candidate = Candidate {
            modified: Some(file.modified),
            plain: !file.is(LINK),
            name: file.name.clone(),
        };
        (candidate.plain, candidate)
    };
    files.sort_by_cached_key(|file| std::cmp::Reverse(key(file)));
    (files, seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_comes_first_and_links_last() {
        let of = |line: &str| Stat::parse(line).expect("a line");
        let files = vec![
            of("81a4 10 1000 1000 1 old.dump"),
            of("81a4 10 3000 3000 2 new.dump"),
            of("81a4 10 4000 4000 3 new.dump.sha256"),
            of("a1ff 10 5000 5000 4 latest.dump"),
            of("11a4 0 6000 6000 5 fifo"),
            of("41ed 10 2000 2000 6 today"),
        ];
        let names = |dumps| {
            let mut selection = Selection::any();
            selection.dumps = dumps;
            let (files, _) = in_order(files.clone(), &selection);
            files.into_iter().map(|file| file.name).collect::<Vec<_>>()
        };
        assert_eq!(
            names(true),
            ["new.dump", "today", "old.dump", "latest.dump"]
        );
        assert_eq!(names(false), ["new.dump", "old.dump", "latest.dump"]);
    }
}
