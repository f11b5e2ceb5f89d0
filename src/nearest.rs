//! Finds the name that a misspelt one probably means.

/// Returns the candidate with the smallest edit distance to `word`, if it is small enough for a suggestion.
pub(crate) fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    const LONGEST: usize = 128;
    if word.len() > LONGEST {
        return None;
    }
    let allowed = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (edit_distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
    }
}
