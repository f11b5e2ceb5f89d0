//! Finds the name that a misspelt one probably means.

/// Returns the candidate with the smallest edit distance to `word`, if it is small enough for a suggestion.
pub(crate) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    near(word, candidates).min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Returns up to `most` candidates that are near enough for a suggestion, the nearest first.
pub(crate) fn nearest_of<'c>(word: &str, candidates: impl Iterator<Item = &'c str>, most: usize) -> Vec<&'c str> {
    let mut near: Vec<_> = near(word, candidates).collect();
    near.sort();
    near.into_iter().take(most).map(|(_, candidate)| candidate).collect()
}

/// Returns the candidates whose edit distance to `word` is small enough for a suggestion, each with its distance.
fn near<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> impl Iterator<Item = (usize, &'c str)> {
    const LONGEST: usize = 128;
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .filter(move |candidate| word.len() <= LONGEST && candidate.len() <= LONGEST)
        .map(move |candidate| (edit_distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(move |(distance, _)| *distance <= allowed)
}

/// Returns the number of insertions, deletions, replacements and swaps of neighbors that turn one text into the other.
fn edit_distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let width = right.len() + 1;
    let mut before_last: Vec<usize> = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    for i in 1..=left.len() {
        let mut current = vec![i; width];
        for j in 1..width {
            let is_same = left[i - 1] == right[j - 1];
            let mut best = (last[j] + 1).min(current[j - 1] + 1).min(last[j - 1] + usize::from(!is_same));
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before_last[j - 2] + 1);
            }
            current[j] = best;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[width - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_suggests_the_word_of_a_typo() {
        let words = ["issuer", "jwks", "audience", "ttl", "template"];
        assert_eq!(nearest("isuser", words.into_iter()), Some("issuer"));
        assert_eq!(nearest("jkws", words.into_iter()), Some("jwks"));
        assert_eq!(nearest("TTL", words.into_iter()), Some("ttl"));
        assert_eq!(nearest("audiences", words.into_iter()), Some("audience"));
        assert_eq!(nearest("cache", words.into_iter()), None);
        assert_eq!(nearest("", words.into_iter()), None);
        let names = ["order", "orders", "orders-v1", "billing"];
        assert_eq!(nearest_of("ordrs", names.into_iter(), 3), ["orders"]);
        assert_eq!(nearest_of("orders-", names.into_iter(), 3), ["orders", "order", "orders-v1"]);
        assert_eq!(nearest_of("orders-", names.into_iter(), 1), ["orders"]);
        assert_eq!(nearest_of(&"a".repeat(200), names.into_iter(), 3), [""; 0]);
    }
}
