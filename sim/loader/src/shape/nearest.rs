//! The known name that a mistyped one most likely stands for.

/// A suggestion is a courtesy: it must not take longer than the rest, however many names there are.
const CANDIDATES_MAX: usize = 300;

/// The nearest of `known` to `name`, if it is near enough for a suggestion: at most a third of
/// the letters differ, letter case aside. Only the first few hundred names are looked at.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let length = name.chars().count();
    if length > 100 {
        return None;
    }
    known
        .into_iter()
        .take(CANDIDATES_MAX)
        .map(|candidate| (distance(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= length.max(candidate.chars().count()))
        .min()
        .map(|(_, candidate)| candidate)
}

/// How many letters must be inserted, removed, replaced or swapped with their neighbour.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows = [
        vec![0; right.len() + 1],
        (0..=right.len()).collect(),
        vec![0; right.len() + 1],
    ];
    for (i, &a) in left.iter().enumerate() {
        rows[2][0] = i + 1;
        for (j, &b) in right.iter().enumerate() {
            let replaced = rows[1][j] + usize::from(a != b);
            let mut least = replaced.min(rows[1][j + 1] + 1).min(rows[2][j] + 1);
            if i > 0 && j > 0 && a == right[j - 1] && left[i - 1] == b {
                least = least.min(rows[0][j - 1] + 1);
            }
            rows[2][j + 1] = least;
        }
        rows.rotate_left(1);
    }
    rows[1][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_their_name() {
        let known = ["replicas", "selector", "template", "ports"];
        assert_eq!(nearest("replica", known), Some("replicas"));
        assert_eq!(nearest("Relpicas", known), Some("replicas"));
        assert_eq!(nearest("port", known), Some("ports"));
        assert_eq!(nearest("image", known), None);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
