//! Lists and names in messages for users.

use crate::escape::is_unsafe;

/// The maximum number of messages in one list.
pub(crate) const MOST_LISTED: usize = 100;
/// The maximum number of names in one sentence.
pub(crate) const MOST_NAMED: usize = 20;

/// Returns the first `most` of `items`, and the number of the others.
pub(crate) fn listed(items: impl Iterator<Item = String>, most: usize) -> Vec<String> {
    let mut items = items.peekable();
    let mut listed: Vec<String> = items.by_ref().take(most).collect();
    if items.peek().is_some() {
        listed.push(format!("and {} more", items.count()));
    }
    listed
}

/// Returns at most `longest` characters of `text` as a part of one line, without characters that change the display of
/// the line.
pub(crate) fn one_line(text: &str, longest: usize) -> String {
    let shown = |c: char| if is_unsafe(c) { ' ' } else { c };
    let mut line: String = text.chars().take(longest).map(shown).collect();
    if text.chars().nth(longest).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_and_lines_are_cut() {
        let numbers = |count: usize| listed((0..count).map(|number| number.to_string()), 2);
        assert_eq!(numbers(2), ["0", "1"]);
        assert_eq!(numbers(5), ["0", "1", "and 3 more"]);
        assert_eq!(one_line("ab\u{1b}c\u{202e}d", 10), "ab c d");
        assert_eq!(one_line("abcd", 4), "abcd");
        assert_eq!(one_line("abcde", 4), "abcd…");
    }
}
