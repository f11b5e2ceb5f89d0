//! How errors name what they are about: by the path in the session, never by what stands there.

use super::program::{Base, Expr, Path};
use super::render::{Renderer, Round};
use super::value::{Absence, Shape, Value};
use crate::code::ErrorCode;
use crate::session::{Part, kratos_names};
use crate::templates::{LostMember, RenderError};

impl<'r> Renderer<'r> {
    /// Says where `path` ends: its key at `index` is not in `parent`.
    pub(super) fn lost(&self, path: &Path, index: usize, parent: &Value<'r>) -> Absence {
        Absence::new(self.why_lost(path, index, parent), self.lost_member(path, index))
    }

    /// The error that something is missing, with the nearest name that the template or a Kratos session has.
    pub(super) fn missing(&self, absence: &Absence) -> RenderError {
        let error = RenderError::new(ErrorCode::TemplateMissingValue, absence.why());
        let Some(lost) = absence.lost() else { return error };
        let before = lost.path.get(..=lost.missing_at).unwrap_or_default();
        let in_template = match before.split_first() {
            Some((first, below)) if first == "Extra" => {
                self.template.selection.names_beside(Part::Extra, below).collect()
            }
            _ => Vec::new(),
        };
        let help = lost.help(in_template.into_iter().chain(kratos_names(before).iter().copied()));
        error.lost(lost.clone()).help(help)
    }

    /// The path from the top of the session, unless an object's own key is a part of it: such a key is a value of the session.
    fn lost_member(&self, path: &Path, index: usize) -> Option<LostMember> {
        let mut whole = match path.base {
            Base::Root => Vec::new(),
            Base::Context(frame) => self.frame_path(frame)?,
            Base::Local(_) | Base::Loop(..) => return None,
        };
        let missing_at = whole.len() + index;
        whole.extend(path.keys.iter().map(|key| key.name.clone()));
        Some(LostMember { path: whole, missing_at })
    }

    fn frame_path(&self, index: usize) -> Option<Vec<String>> {
        let frame = self.frames.get(index)?;
        let mut whole = match frame.origin {
            None => return Some(Vec::new()),
            Some(Expr::Path(Path { base: Base::Root, keys, .. })) => keys.iter().map(|key| key.name.clone()).collect(),
            Some(Expr::Path(Path { base: Base::Context(outer), keys, .. })) if *outer < index => {
                let mut whole = self.frame_path(*outer)?;
                whole.extend(keys.iter().map(|key| key.name.clone()));
                whole
            }
            Some(_) => return None,
        };
        match &frame.round {
            Some(Round { key: Some(_), .. }) => return None,
            Some(round) => whole.push(round.index.to_string()),
            None => {}
        }
        Some(whole)
    }

    fn why_lost(&self, path: &Path, index: usize, parent: &Value<'r>) -> String {
        let whole = self.shown_path(path, path.keys.len());
        let before = self.shown_path(path, index);
        let before = if before.is_empty() { "the session".to_owned() } else { before };
        match parent.shape() {
            Shape::Object(_) => format!("{whole} is missing ({before} has no such member)"),
            Shape::Array(elements) if path.keys.get(index).is_some_and(|key| key.index.is_some()) => {
                format!("{whole} is missing ({before} has {} elements)", elements.len())
            }
            _ => format!("{whole} is missing ({before} is {})", parent.kind()),
        }
    }

    /// The expression as an error names it: from the top of the session where that is known.
    pub(super) fn shown(&self, expr: &Expr) -> String {
        match expr {
            Expr::Literal(json, _) => format!("the literal ({})", json.kind()),
            Expr::Path(path) => self.shown_path(path, path.keys.len()),
            Expr::Call(call) => format!("({} …)", call.helper.name),
        }
    }

    fn shown_path(&self, path: &Path, keys: usize) -> String {
        let mut shown = match path.base {
            Base::Root => String::new(),
            Base::Context(index) => self.shown_frame(index),
            Base::Local(_) | Base::Loop(..) => path.shown.clone(),
        };
        for key in path.keys.iter().take(keys) {
            if !shown.is_empty() {
                shown.push('.');
            }
            let is_plain = key.name.chars().all(|c| c.is_alphanumeric() || "-_$:".contains(c)) && !key.name.is_empty();
            if is_plain {
                shown.push_str(&key.name);
            } else {
                shown.extend(["[", &key.name, "]"]);
            }
        }
        shown
    }

    fn shown_frame(&self, index: usize) -> String {
        let Some(frame) = self.frames.get(index) else { return String::new() };
        let origin = frame.origin.map_or_else(String::new, |expr| self.shown(expr));
        match &frame.round {
            // A key is the session's data, so it is not shown.
            Some(Round { key: Some(_), .. }) => format!("{origin}.[…]"),
            Some(round) => format!("{origin}.{}", round.index),
            None => origin,
        }
    }
}

pub(super) fn whole_session() -> RenderError {
    RenderError::new(
        ErrorCode::TemplateWrongType,
        "expected a value, found the whole session: name one of its members, such as Extra",
    )
}
