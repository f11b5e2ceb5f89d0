//! Finds blocks that test a value and write it. They leave out `false` and `0`, which is seldom meant.

use super::program::{Base, Branch, Expr, Op, Path};

/// Helpers whose result can be false, 0 or empty if their argument is.
const PASSING: [&str; 8] = ["coalesce", "concat", "default", "int", "number", "required", "string", "toJson"];

/// Returns `true` if only `body` writes the value of `path`, and `otherwise` does not. `body` is written if the value is truthy.
pub(super) fn is_dropped(path: &Path, body: &[Op], otherwise: &[Op]) -> bool {
    !matches!(path.base, Base::Loop(..)) && writes(body, path) && !writes_anywhere(otherwise, path)
}

fn writes(ops: &[Op], path: &Path) -> bool {
    ops.iter().any(|op| match op {
        // Another test of the value chooses which values are written.
        Op::If { branches, otherwise } => {
            let is_about_it = branches.iter().any(|branch| compares(&branch.test, path));
            !is_about_it && (bodies(branches).any(|body| writes(body, path)) || writes(otherwise, path))
        }
        other => passes_on(other, path) || blocks(other).any(|body| writes(body, path)),
    })
}

fn writes_anywhere(ops: &[Op], path: &Path) -> bool {
    ops.iter().any(|op| passes_on(op, path) || blocks(op).any(|body| writes_anywhere(body, path)))
}

fn passes_on(op: &Op, path: &Path) -> bool {
    match op {
        Op::Value { expr, .. } | Op::Part(expr) => is_passed_on(expr, path),
        _ => false,
    }
}

fn is_passed_on(expr: &Expr, path: &Path) -> bool {
    match expr {
        Expr::Literal(..) => false,
        Expr::Path(written) => is_same(written, path),
        Expr::Call(call) => {
            PASSING.contains(&call.helper.name) && call.arguments.iter().any(|argument| is_passed_on(argument, path))
        }
    }
}

/// Returns `true` if a test depends on more than whether the value is there.
fn compares(test: &Expr, path: &Path) -> bool {
    match test {
        Expr::Literal(..) => false,
        Expr::Path(tested) => is_same(tested, path),
        Expr::Call(call) => call.helper.name != "has" && call.arguments.iter().any(|argument| compares(argument, path)),
    }
}

fn is_same(left: &Path, right: &Path) -> bool {
    left.base == right.base
        && left.keys.len() == right.keys.len()
        && left.keys.iter().zip(&right.keys).all(|(left, right)| left.name == right.name)
}

fn bodies(branches: &[Branch]) -> impl Iterator<Item = &[Op]> {
    branches.iter().map(|branch| branch.body.as_slice())
}

/// Returns the steps inside `op`.
fn blocks(op: &Op) -> impl Iterator<Item = &[Op]> {
    let (branches, body, otherwise): (&[Branch], &[Op], &[Op]) = match op {
        Op::If { branches, otherwise } => (branches, &[], otherwise),
        Op::Each { body, otherwise, .. } | Op::With { body, otherwise, .. } => {
            (&[], body, otherwise.as_deref().unwrap_or_default())
        }
        Op::Let { body, .. } | Op::Partial { body, .. } => (&[], body, &[]),
        _ => (&[], &[], &[]),
    };
    bodies(branches).chain([body, otherwise])
}
