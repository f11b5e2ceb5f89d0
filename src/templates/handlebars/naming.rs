//! How errors name what they are about: by the path in the session, never by what stands there.

use super::program::{Base, Expr, Path};
use super::render::{LocalOrigin, Renderer, Round};
use super::value::{Absence, Shape, Value};
use crate::code::ErrorCode;
use crate::session::{Part, kratos_names};
use crate::templates::{LostMember, LostUsage, RenderError};

impl<'r> Renderer<'r> {
    /// Says where `path` ends: its key at `index` is not in `parent`.
    pub(super) fn lost(&self, path: &Path, index: usize, parent: &Value<'r>) -> Absence {
        Absence::new(self.why_lost(path, index, parent), self.lost_member(path, index))
    }

    /// The error that something is missing, with the nearest name that the template or a Kratos session has.
    pub(super) fn missing(&self, absence: &Absence) -> RenderError {
        let error = RenderError::new(ErrorCode::TemplateMissingValue, absence.why());
        let Some(lost) = absence.lost() else { return error };
        let path = lost.session_path().unwrap_or_default();
        let in_template = match path.split_first() {
            Some((first, below)) if first == "Extra" => {
                self.template.selection.names_beside(Part::Extra, below).collect()
            }
            _ => Vec::new(),
        };
        let help = lost.help(in_template.into_iter().chain(kratos_names(&path).iter().copied()));
        error.lost(lost.clone()).help(help)
    }

    fn lost_member(&self, path: &Path, missing_at: usize) -> Option<LostMember> {
        let prefix = match path.base {
            Base::Root => match self.frames.last().map(|frame| &frame.value) {
                None | Some(Value::Root) => String::new(),
                Some(_) => "@root.".to_owned(),
            },
            Base::Context(frame) => "../".repeat(self.frames.len().saturating_sub(frame + 1)),
            Base::Local(_) => format!("{}.", path.shown),
            Base::Loop(..) => return None,
        };
        let names = path.keys.iter().map(|key| key.name.clone()).collect();
        let parents = self.base_path(path.base, self.frames.len() + self.locals.len());
        Some(LostMember { prefix, names, missing_at, parents, usage: LostUsage::Handlebars })
    }

    /// The path of `base` from the top of the session, unless an object's own key is a part of it: such a key is a value of the
    /// session. Each of the `steps` goes to an outer block.
    fn base_path(&self, base: Base, steps: usize) -> Option<Vec<String>> {
        let steps = steps.checked_sub(1)?;
        match base {
            Base::Root => Some(Vec::new()),
            Base::Context(index) => self.frame_path(index, steps),
            Base::Local(index) => match self.locals.get(index)?.origin {
                LocalOrigin::Frame(frame) => self.frame_path(frame, steps),
                LocalOrigin::Value(expr) => self.expr_path(expr, steps),
                LocalOrigin::Round => None,
            },
            Base::Loop(..) => None,
        }
    }

    fn expr_path(&self, expr: &Expr, steps: usize) -> Option<Vec<String>> {
        let Expr::Path(path) = expr else { return None };
        let mut whole = self.base_path(path.base, steps)?;
        whole.extend(path.keys.iter().map(|key| key.name.clone()));
        Some(whole)
    }

    fn frame_path(&self, index: usize, steps: usize) -> Option<Vec<String>> {
        let frame = self.frames.get(index)?;
        let Some(origin) = frame.origin else { return Some(Vec::new()) };
        let mut whole = self.expr_path(origin, steps)?;
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
