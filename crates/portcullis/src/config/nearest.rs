//! Which key may have been meant, where one is not known.

/// The known key that someone who wrote `key` may have meant.
pub(super) fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    // One slip in three characters; beyond that, names are similar by chance.
    let distances = known.iter().map(|name| (distance(key, name), *name));
    let (distance, name) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= name.len()).then_some(name)
}

/// How many characters must be put in, left out or replaced to make one of the other
/// (Levenshtein), case and the kind of hyphen aside.
fn distance(one: &str, other: &str) -> usize {
    /// No known key is as long; what is longer is far from all of them.
    const LONGEST: usize = 64;
    let plain = |text: &str| -> Vec<u8> {
        text.bytes()
            .map(|byte| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() })
            .collect()
    };
    let (one, other) = (plain(one), plain(other));
    if one.len() > LONGEST {
        return usize::MAX / 3;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, byte) in one.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, theirs) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(byte != theirs);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_a_slip_is_recognised_and_another_word_is_not() {
        let known = ["file", "env", "encoding", "accept_until", "audiences"];
        for (key, meant) in [
            ("fil", Some("file")),
            ("FILE", Some("file")),
            ("envv", Some("env")),
            ("accept-until", Some("accept_until")),
            ("acceptUntil", Some("accept_until")),
            ("audience", Some("audiences")),
            ("secret", None),
            ("value", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(nearest(key, &known), meant, "{key}");
        }
        assert_eq!(nearest(&"x".repeat(1000), &known), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
