//! How errors name what they are about: by the path in the session, never by what stands there.

use super::program::{Base, Expr, Path};
use super::render::{Renderer, Round};
use super::value::{Shape, Value};
use crate::code::ErrorCode;
use crate::templates::RenderError;

impl<'r> Renderer<'r> {
    /// Says where `path` ends: its key at `index` is not in `parent`.
    pub(super) fn lost(&self, path: &Path, index: usize, parent: &Value<'r>) -> String {
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

pub(super) fn missing(why: &str) -> RenderError {
    RenderError::new(ErrorCode::TemplateMissingValue, why)
}

pub(super) fn whole_session() -> RenderError {
    RenderError::new(
        ErrorCode::TemplateWrongType,
        "expected a value, found the whole session: name one of its members, such as Extra",
    )
}
