//! Many things in one message.

/// So many are named in one message.
const NAMED: usize = 5;

/// The first of them, and how many more there are.
pub(super) fn some(all: &[String]) -> String {
    let named = all
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::some;

    #[test]
    fn more_than_five_are_counted() {
        let all = ["a", "b", "c", "d", "e", "f", "g"].map(str::to_owned);
        assert_eq!(some(&all[..5]), "a, b, c, d, e");
        assert_eq!(some(&all), "a, b, c, d, e and 2 more");
    }
}
