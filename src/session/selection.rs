//! The members of a session that a template and its profile read; everything else stays text.

use std::sync::LazyLock;

/// A tree of member names below `extra`, `header` and `match_context` that a compiled template and its profile read.
/// Everything else is checked and skipped when a session is read.
#[derive(Clone, Debug)]
pub struct Selection {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    name: String,
    parent: Option<Selected>,
    /// In the order of their names.
    children: Vec<Selected>,
    /// Whether a template reads all of it.
    is_read: bool,
    /// Whether a template writes all of it unchanged.
    is_copied: bool,
    /// Whether a template reads it, or something below it.
    decides: bool,
}

/// A place in a [`Selection`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selected(pub(super) usize);

/// The parts of a session that have members of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `extra`
    Extra,
    /// `header`
    Header,
    /// `match_context`
    MatchContext,
}

impl Part {
    pub(super) const ALL: [Part; 3] = [Part::Extra, Part::Header, Part::MatchContext];

    /// Returns its place, the same in every selection.
    pub fn selected(self) -> Selected {
        Selected(self as usize)
    }
}

impl Selected {
    pub(super) fn index(self) -> usize {
        self.0
    }
}

impl Default for Selection {
    /// Selects nothing below the three parts.
    fn default() -> Self {
        Self { nodes: vec![Node::default(); Part::ALL.len()] }
    }
}

impl Selection {
    /// Returns the selection of the whole session.
    pub fn everything() -> &'static Self {
        static EVERYTHING: LazyLock<Selection> = LazyLock::new(|| {
            let mut selection = Selection::default();
            Part::ALL.into_iter().for_each(|part| selection.read(part.selected()));
            selection
        });
        &EVERYTHING
    }

    /// Returns the place of the member `name` of `parent`, and adds it if it is new.
    pub fn member(&mut self, parent: Selected, name: &str) -> Selected {
        if let Some(known) = self.find(parent, name) {
            return known;
        }
        let new = Selected(self.nodes.len());
        self.nodes.push(Node { name: name.to_owned(), parent: Some(parent), ..Node::default() });
        let place = self.position(parent, name).unwrap_or_else(|place| place);
        self.nodes[parent.0].children.insert(place, new);
        new
    }

    /// Marks a place whose value a template tests. Of an object, only members that are selected themselves count.
    pub fn look_at(&mut self, selected: Selected) {
        let mut next = Some(selected);
        // Where a place decides, all places above it do, too.
        while let Some(Selected(index)) = next.filter(|next| !self.nodes[next.0].decides) {
            self.nodes[index].decides = true;
            next = self.nodes[index].parent;
        }
    }

    /// Marks a place whose whole value a template reads.
    pub fn read(&mut self, selected: Selected) {
        self.look_at(selected);
        self.nodes[selected.0].is_read = true;
    }

    /// Marks a place whose whole value a template writes unchanged.
    pub fn copy(&mut self, selected: Selected) {
        self.look_at(selected);
        self.nodes[selected.0].is_copied = true;
    }

    pub(super) fn find(&self, parent: Selected, name: &str) -> Option<Selected> {
        self.position(parent, name).ok().and_then(|place| self.nodes[parent.0].children.get(place)).copied()
    }

    /// Where the member `name` is among the children of `parent`, or where it belongs.
    fn position(&self, parent: Selected, name: &str) -> Result<usize, usize> {
        self.nodes[parent.0].children.binary_search_by(|child| self.nodes[child.0].name.as_str().cmp(name))
    }

    /// Returns the names of the members of `part` at `path` that a template reads, without the last of `path` itself.
    pub fn names_beside<'s>(&'s self, part: Part, path: &[String]) -> impl Iterator<Item = &'s str> {
        let parent = path
            .split_last()
            .and_then(|(_, parents)| parents.iter().try_fold(part.selected(), |parent, name| self.find(parent, name)));
        let children = parent.map_or(&[][..], |parent| self.nodes[parent.0].children.as_slice());
        let last = path.last().cloned();
        children
            .iter()
            .map(|child| self.nodes[child.0].name.as_str())
            .filter(move |name| Some(*name) != last.as_deref())
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the selected members of `parent` that a template reads, whole or in part, with their names.
    pub(super) fn deciding(&self, parent: Selected) -> impl Iterator<Item = (&str, Selected)> {
        let children = self.nodes[parent.0].children.iter().copied();
        children.filter(|child| self.nodes[child.0].decides).map(|child| (self.nodes[child.0].name.as_str(), child))
    }

    pub(super) fn decides(&self, selected: Selected) -> bool {
        self.nodes[selected.0].decides
    }

    pub(super) fn is_read(&self, selected: Selected) -> bool {
        self.nodes[selected.0].is_read
    }

    pub(super) fn is_copied(&self, selected: Selected) -> bool {
        self.nodes[selected.0].is_copied
    }

    /// Returns `true` if a template uses the whole value, whatever else it reads below it.
    pub(super) fn takes_whole(&self, selected: Selected) -> bool {
        self.is_read(selected) || self.is_copied(selected)
    }

    pub(super) fn has_members(&self, selected: Selected) -> bool {
        !self.nodes[selected.0].children.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Selection};

    /// Takes hours if a step looks at all places above or beside it.
    #[test]
    fn long_paths_and_many_members_are_selected_in_linear_time() {
        let mut selection = Selection::default();
        let mut place = Part::Extra.selected();
        for _ in 0..300_000 {
            place = selection.member(place, "a");
            selection.look_at(place);
        }
        for number in 0..100_000 {
            let member = selection.member(place, &format!("{number:06}"));
            assert_eq!(selection.member(place, &format!("{number:06}")), member);
            selection.read(member);
        }
        assert_eq!(selection.deciding(place).count(), 100_000);
        assert!(selection.find(place, "000001").is_some() && selection.find(place, "1").is_none());
    }
}
