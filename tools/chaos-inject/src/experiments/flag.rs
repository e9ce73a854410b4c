//! The flags that say what an experiment hits, and how far it may go. Not every experiment can
//! honour each; one that can't is refused, never ignored.

use chaos_common::exit::Failure;

/// A flag of `plan` and `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `--pod`
    Pod,
    /// `--selector`
    Selector,
    /// `--workload`
    Workload,
    /// `--count`
    Count,
    /// `--share`
    Share,
    /// `--allow-outage`
    AllowOutage,
    /// `--max-share`
    MaxShare,
    /// `--set-aside`
    SetAside,
}

impl Flag {
    /// As people type it.
    pub fn name(self) -> &'static str {
        match self {
            Flag::Pod => "--pod",
            Flag::Selector => "--selector",
            Flag::Workload => "--workload",
            Flag::Count => "--count",
            Flag::Share => "--share",
            Flag::AllowOutage => "--allow-outage",
            Flag::MaxShare => "--max-share",
            Flag::SetAside => "--set-aside",
        }
    }
}

/// Refuses flags that an experiment can't honour.
///
/// # Errors
/// There is one among those that are given.
pub fn check(experiment: &str, given: &[Flag], honoured: &[Flag]) -> Result<(), Failure> {
    let names = |flags: Vec<Flag>| {
        let names: Vec<&str> = flags.into_iter().map(Flag::name).collect();
        names.join(", ")
    };
    let others = given.iter().copied();
    let others: Vec<Flag> = others.filter(|flag| !honoured.contains(flag)).collect();
    if others.is_empty() {
        return Ok(());
    }
    let message = format!("{experiment} can't honour {}", names(others));
    let hint = if honoured.is_empty() {
        "it takes no flag that selects what it hits; chaos.toml does".to_owned()
    } else {
        format!("it takes {}", names(honoured.to_vec()))
    };
    Err(Failure::usage(message).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_that_can_not_be_honoured_is_named_with_those_that_can() {
        let honoured = [Flag::Workload, Flag::MaxShare];
        assert!(check("cut", &[Flag::Workload], &honoured).is_ok());
        assert!(check("cut", &[], &[]).is_ok());
        let refused = check("cut", &[Flag::Share, Flag::Workload], &honoured);
        let refused = refused.expect_err("no share of a cut");
        assert_eq!(refused.message, "cut can't honour --share");
        let hint = refused.hint.unwrap_or_default();
        assert_eq!(hint, "it takes --workload, --max-share");
        assert!(check("cut", &[Flag::Pod], &[]).is_err());
    }
}
