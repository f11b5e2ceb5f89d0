//! What a compiled template reads of a session.
//!
//! The program is walked once, with what each context and each name stands for. An expression that leads to a place of
//! the session selects it; what a test, a loop or a helper takes is read whole; a whole value that only has to be
//! written is copied as it stands.

use super::program::{Base, Expr, Op, Path};
use super::render::wire_name;
use crate::session::{Part, Selected, Selection};

/// Finds out what `program` reads, and lets it copy what it only writes.
pub(super) fn bind(program: &mut [Op]) -> Selection {
    let mut reads = Reads { selection: Selection::default(), frames: vec![Origin::Session], locals: Vec::new() };
    reads.ops(program);
    reads.selection
}

/// Where a value comes from.
#[derive(Clone, Copy)]
enum Origin {
    /// The whole session.
    Session,
    /// This place of the session.
    At(Selected),
    /// Something that was read already, or is not of the session's parts.
    Known,
}

/// The renderer's stacks, as they will stand at each step.
struct Reads {
    selection: Selection,
    frames: Vec<Origin>,
    locals: Vec<Origin>,
}

impl Reads {
    fn ops(&mut self, ops: &mut [Op]) {
        ops.iter_mut().for_each(|op| self.op(op));
    }

    fn op(&mut self, op: &mut Op) {
        match op {
            Op::Open(_)
            | Op::Close
            | Op::Name(_)
            | Op::Scalar(_)
            | Op::NameStart
            | Op::StringStart
            | Op::Text(_)
            | Op::NameEnd
            | Op::StringEnd => {}
            Op::Value { expr, copied, .. } => match whole_path(expr).map(|path| self.origin(path)) {
                Some(Origin::At(selected)) => {
                    self.selection.copy(selected);
                    *copied = Some(selected);
                }
                _ => self.read(expr),
            },
            Op::Part(expr) => self.read(expr),
            Op::If { branches, otherwise } => {
                for branch in branches {
                    self.read(&branch.test);
                    self.ops(&mut branch.body);
                }
                self.ops(otherwise);
            }
            Op::Each { over, local, index_local, body, otherwise } => {
                self.read(over);
                let names = local.iter().chain(index_local.iter()).map(|_| Origin::Known).collect();
                self.scoped(Some(Origin::Known), names, body);
                self.ops(otherwise.as_deref_mut().unwrap_or_default());
            }
            Op::With { value, local, body, otherwise } => {
                self.read(value);
                let names = local.iter().map(|_| Origin::Known).collect();
                self.scoped(Some(Origin::Known), names, body);
                self.ops(otherwise.as_deref_mut().unwrap_or_default());
            }
            Op::Let { values, body } => {
                let names = values.iter().map(|value| self.bound(value)).collect();
                self.scoped(None, names, body);
            }
            Op::Partial { context, values, body } => {
                let names = values.iter().map(|value| self.bound(value)).collect();
                let context = context.as_ref().map(|context| self.bound(context));
                self.scoped(context, names, body);
            }
        }
    }

    fn scoped(&mut self, frame: Option<Origin>, names: Vec<Origin>, body: &mut [Op]) {
        let (frames, locals) = (self.frames.len(), self.locals.len());
        self.frames.extend(frame);
        self.locals.extend(names);
        self.ops(body);
        self.frames.truncate(frames);
        self.locals.truncate(locals);
    }

    /// All of what `expr` gives is looked at.
    fn read(&mut self, expr: &Expr) {
        match expr {
            Expr::Literal(..) => {}
            Expr::Path(path) => {
                if let Origin::At(selected) = self.origin(path) {
                    self.selection.read(selected);
                }
            }
            Expr::Call(call) => call.arguments.iter().for_each(|argument| self.read(argument)),
        }
    }

    /// What `expr` gives gets a name; what is read of it shows where the name is used.
    fn bound(&mut self, expr: &Expr) -> Origin {
        match expr {
            Expr::Path(path) => self.origin(path),
            _ => {
                self.read(expr);
                Origin::Known
            }
        }
    }

    fn origin(&mut self, path: &Path) -> Origin {
        let base = match path.base {
            Base::Root => Origin::Session,
            Base::Context(index) => self.frames.get(index).copied().unwrap_or(Origin::Session),
            Base::Local(index) => self.locals.get(index).copied().unwrap_or(Origin::Session),
            Base::Loop(..) => Origin::Known,
        };
        path.keys.iter().fold(base, |origin, key| {
            let selected = match origin {
                Origin::Session => match key.name.as_str() {
                    "Extra" => Part::Extra.selected(),
                    "Header" => Part::Header.selected(),
                    "MatchContext" => Part::MatchContext.selected(),
                    _ => return Origin::Known,
                },
                Origin::At(parent) if parent == Part::MatchContext.selected() => {
                    self.selection.member(parent, wire_name(&key.name))
                }
                Origin::At(parent) => self.selection.member(parent, &key.name),
                Origin::Known => return Origin::Known,
            };
            self.selection.look_at(selected);
            Origin::At(selected)
        })
    }
}

/// The path whose value `expr` is, unchanged.
fn whole_path(expr: &Expr) -> Option<&Path> {
    match expr {
        Expr::Path(path) => Some(path),
        Expr::Call(call) if call.helper.name == "toJson" => call.arguments.first().and_then(whole_path),
        _ => None,
    }
}
