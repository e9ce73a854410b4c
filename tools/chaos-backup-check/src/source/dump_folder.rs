//! Dumps in directory format (`pg_dump -Fd`) by the names of their files.

/// The table of contents, which each such dump has.
pub(super) const TOC: &str = "toc.dat";

/// Whether only a dump in directory format has files that are called so: `toc.dat`, `3343.dat.gz`,
/// `blob_16402.dat`, `blobs.toc`.
pub(super) fn is_member(name: &str) -> bool {
    let blobs = name
        .strip_prefix("blobs")
        .and_then(|rest| rest.strip_suffix(".toc"));
    if name == TOC || blobs.is_some() {
        return true;
    }
    let packed = [".gz", ".lz4", ".zst"];
    let plain = packed.iter().find_map(|end| name.strip_suffix(end));
    let Some(stem) = plain.unwrap_or(name).strip_suffix(".dat") else {
        return false;
    };
    let number = stem.strip_prefix("blob_").unwrap_or(stem);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::is_member;

    #[test]
    fn the_files_of_a_dump_are_known_by_their_names() {
        for name in [
            "toc.dat",
            "3343.dat",
            "3343.dat.gz",
            "blob_1.dat.zst",
            "blobs.toc",
            "blobs_12.toc",
        ] {
            assert!(is_member(name), "{name}");
        }
        for name in [
            "x.dat",
            "3343",
            ".dat",
            "toc.dat.gz",
            "20261122.dump",
            "blob_.dat",
            "x.toc",
        ] {
            assert!(!is_member(name), "{name}");
        }
    }
}
