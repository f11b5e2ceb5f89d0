//! Runs a template over a session, by Go's rules: its nodes, blocks, variables and pipelines.

mod evaluate;

use super::ast::{Branch, Node, Pipeline, Tree};
use super::context::{Context, Problem};
use super::lost::{Round, Scope, Source, Variable};
use super::output::Output;
use super::print;
use super::text::{Origin, Text};
use super::value::Value;
use super::writer::Writer;
use crate::code::ErrorCode;
use crate::templates::{LostUsage, RenderInput, RenderLimits};

/// A problem and the byte of the template at which it came up.
type Failure = (Problem, usize);
type Run<T> = Result<T, Failure>;

/// How often the writer reads what an expression gave.
const READS_OF_OUTPUT: usize = 8;
/// How often a loop reads and writes the key of an entry.
const READS_OF_KEY: usize = 4;
/// How many variables are looked through in one step.
const VARIABLES_PER_STEP: u64 = 32;
/// How many bytes of the name of a variable count as one more variable.
const BYTES_OF_VARIABLE: usize = 256;

/// How deep blocks may run inside each other when a template calls another one, whatever the limits say.
const MAX_NESTED: usize = 200;

/// Renders `tree`.
pub(super) fn run<'e>(tree: &'e Tree, input: &'e RenderInput<'e>, limits: &'e RenderLimits) -> Run<Output> {
    run_into(tree, input, limits, Writer::new(limits.output_bytes, limits.depth))
}

/// Renders `tree` as Go does, which escapes nothing.
#[cfg(test)]
pub(super) fn run_raw<'e>(tree: &'e Tree, input: &'e RenderInput<'e>, limits: &'e RenderLimits) -> Run<Vec<u8>> {
    let mut writer = Writer::new(limits.output_bytes, limits.depth);
    writer.is_raw = true;
    run_into(tree, input, limits, writer).map(|output| output.bytes)
}

/// Renders `tree`, and counts the steps.
#[cfg(test)]
pub(super) fn run_counted<'e>(tree: &'e Tree, input: &'e RenderInput<'e>, limits: &'e RenderLimits) -> (Run<()>, u64) {
    let context = match Context::new(input, limits) {
        Ok(context) => context,
        Err(problem) => return (Err((problem, 0)), 0),
    };
    let mut exec = Exec::new(tree, input, context, Writer::new(limits.output_bytes, limits.depth));
    let result = exec.nodes(&Value::Session, &tree.root).map(|_| ());
    (result, exec.context.spent())
}

fn run_into<'e>(tree: &'e Tree, input: &'e RenderInput<'e>, limits: &'e RenderLimits, writer: Writer) -> Run<Output> {
    let mut exec = Exec::new(tree, input, Context::new(input, limits).at(0)?, writer);
    exec.nodes(&Value::Session, &tree.root)?;
    Ok(exec.writer.into_output())
}

struct Exec<'e> {
    tree: &'e Tree,
    context: Context<'e>,
    writer: Writer,
    input: &'e RenderInput<'e>,
    /// Where the dot comes from, outside and in each block.
    blocks: Vec<Source<'e>>,
    variables: Vec<Variable<'e>>,
    /// Lists of nodes that are being run inside each other.
    nested: usize,
}

/// How a list of nodes ended.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

trait AtPlace<T> {
    fn at(self, at: usize) -> Run<T>;
}

impl<T> AtPlace<T> for Result<T, Problem> {
    fn at(self, at: usize) -> Run<T> {
        self.map_err(|problem| (problem, at))
    }
}

impl<T> AtPlace<T> for Result<T, super::writer::Refusal> {
    fn at(self, at: usize) -> Run<T> {
        self.map_err(|(code, message)| (Problem::new(code, message), at))
    }
}

fn fail<T>(at: usize, problem: Problem) -> Run<T> {
    Err((problem, at))
}

impl<'e> Exec<'e> {
    fn new(tree: &'e Tree, input: &'e RenderInput<'e>, context: Context<'e>, writer: Writer) -> Self {
        let session = Variable { name: "$", value: Value::Session, source: Source::Session };
        Self { tree, context, writer, input, blocks: vec![Source::Session], variables: vec![session], nested: 0 }
    }

    fn nodes(&mut self, dot: &Value, nodes: &'e [Node]) -> Run<Flow> {
        self.nested += 1;
        for node in nodes {
            match self.node(dot, node)? {
                Flow::On => {}
                flow => {
                    self.nested -= 1;
                    return Ok(flow);
                }
            }
        }
        self.nested -= 1;
        Ok(Flow::On)
    }

    fn node(&mut self, dot: &Value, node: &'e Node) -> Run<Flow> {
        match node {
            Node::Text(at, text) => {
                self.context.step().at(*at)?;
                self.writer.literal(text.as_bytes()).at(*at)?;
            }
            Node::Action(pipeline) => {
                let value = self.pipeline(dot, pipeline)?;
                if pipeline.variables.is_empty() {
                    let written = self.write(&value, pipeline.is_constant());
                    written
                        .map_err(|problem| match value {
                            Value::Invalid => self.scope().lacks_value(problem, pipeline, LostUsage::GoValue),
                            _ => problem,
                        })
                        .at(pipeline.at)?;
                }
            }
            Node::If(branch) => {
                let mark = self.variables.len();
                let value = self.pipeline(dot, &branch.pipeline)?;
                let chosen = if value.truth() { Some(&branch.body) } else { branch.otherwise.as_ref() };
                let flow = chosen.map_or(Ok(Flow::On), |nodes| self.nodes(dot, nodes));
                self.variables.truncate(mark);
                return flow;
            }
            Node::With(branch) => {
                let mark = self.variables.len();
                let (blocks, variables) = (self.blocks.len(), mark);
                let value = self.pipeline(dot, &branch.pipeline)?;
                let flow = if value.truth() {
                    self.blocks.push(Source::Pipeline { pipeline: &branch.pipeline, blocks, variables, round: None });
                    let flow = self.nodes(&value, &branch.body);
                    self.blocks.pop();
                    flow
                } else {
                    branch.otherwise.as_ref().map_or(Ok(Flow::On), |nodes| self.nodes(dot, nodes))
                };
                self.variables.truncate(mark);
                return flow;
            }
            Node::Range(branch) => {
                let mark = self.variables.len();
                let flow = self.range(dot, branch);
                self.variables.truncate(mark);
                return flow;
            }
            Node::Template { at, name, argument } => self.template(dot, *at, name, argument.as_ref())?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn write(&mut self, value: &Value, is_constant: bool) -> Result<(), Problem> {
        let refused = |(code, message): super::writer::Refusal| Problem::new(code, message);
        match value {
            Value::String(text) => {
                self.context.charge_text(text, READS_OF_OUTPUT)?;
                self.writer.expression(text, is_constant).map_err(refused)
            }
            // What is written is the structure that the pointer points to.
            Value::Session => {
                let text = print::text_of(&mut self.context, value)?;
                self.writer.expression(&text.slice(1..text.len()), is_constant).map_err(refused)
            }
            Value::Invalid => {
                let written = self.writer.expression(&Text::new("<no value>", Origin::Data), is_constant);
                written.map_err(|(code, _)| {
                    let message = "expected a JSON value outside of quotes, found no value: the session lacks the member, \
                                   or it is null; pipe it to toJson, which writes null";
                    Problem::new(code, message)
                })
            }
            value => {
                let text = print::text_of(&mut self.context, value)?;
                self.writer.expression(&text, is_constant).map_err(refused)
            }
        }
    }

    fn template(&mut self, dot: &Value, at: usize, name: &str, argument: Option<&'e Pipeline>) -> Run<()> {
        self.context.charge_bytes(name.len()).at(at)?;
        let Some(nodes) = self.tree.defined.get(name) else {
            return fail(at, Problem::new(ErrorCode::TemplateHelper, "found a template that is not defined"));
        };
        let dot = match argument {
            Some(pipeline) => self.pipeline(dot, pipeline)?,
            None => Value::Invalid,
        };
        if self.nested >= self.context.limits.depth.min(MAX_NESTED) {
            return fail(at, Problem::limit("expected templates that call each other less deeply"));
        }
        let session = Variable { name: "$", value: dot.clone(), source: Source::Unknown };
        let outer = std::mem::replace(&mut self.variables, vec![session]);
        self.blocks.push(Source::Unknown);
        let result = self.nodes(&dot, nodes);
        self.blocks.pop();
        self.variables = outer;
        result.map(|_| ())
    }

    fn range(&mut self, dot: &Value, branch: &'e Branch) -> Run<Flow> {
        let value = self.pipeline(dot, &branch.pipeline)?;
        let at = branch.pipeline.at;
        let mut ran = false;
        match &value {
            Value::Invalid | Value::NilInterface => {}
            Value::List(list) => {
                for (index, item) in list.items().iter().enumerate() {
                    ran = true;
                    let number = Value::int(i64::try_from(index).unwrap_or(i64::MAX));
                    if self.iteration(branch, number, Round::Index(index), item.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                self.context.charge_entries(map, READS_OF_KEY).at(at)?;
                let entries: Vec<_> =
                    map.entries.borrow().iter().map(|(key, item)| (key.clone(), item.clone())).collect();
                for (key, item) in entries {
                    ran = true;
                    if self.iteration(branch, Value::text(map.key(&key)), Round::Key, item)? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Int(kind, count) => {
                self.only_one_variable(branch)?;
                for number in 0..*count {
                    ran = true;
                    if self.iteration(branch, Value::Invalid, Round::Key, Value::Int(*kind, number))? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Uint(kind, count) => {
                self.only_one_variable(branch)?;
                for number in 0..*count {
                    ran = true;
                    if self.iteration(branch, Value::Invalid, Round::Key, Value::Uint(*kind, number))? == Flow::Break {
                        break;
                    }
                }
            }
            other => {
                let message = format!("expected a list, a map or an integer for range, found {}", other.type_name());
                return fail(at, Problem::wrong_type(message));
            }
        }
        match &branch.otherwise {
            Some(nodes) if !ran => self.nodes(dot, nodes),
            _ => Ok(Flow::On),
        }
    }

    fn only_one_variable(&self, branch: &Branch) -> Run<()> {
        if branch.pipeline.variables.len() > 1 {
            let message = "expected one variable for a range over an integer, found two";
            return fail(branch.pipeline.at, Problem::wrong_type(message));
        }
        Ok(())
    }

    fn iteration(&mut self, branch: &'e Branch, index: Value, round: Round, item: Value) -> Run<Flow> {
        let pipeline = &branch.pipeline;
        self.context.step().at(pipeline.at)?;
        let mark = self.variables.len();
        let names = pipeline.variables.as_slice();
        // The variables of the pipeline itself are not a part of it.
        let variables = mark.saturating_sub(names.len());
        let source = Source::Pipeline { pipeline, blocks: self.blocks.len(), variables, round: Some(round) };
        match (names, pipeline.is_assignment) {
            ([], _) => {}
            ([only], true) => self.assign(only, item.clone(), pipeline.at)?,
            ([first, second, ..], true) => {
                self.assign(first, index, pipeline.at)?;
                self.assign(second, item.clone(), pipeline.at)?;
            }
            ([_], false) => self.set_top(1, item.clone(), source),
            (_, false) => {
                self.set_top(1, item.clone(), source);
                self.set_top(2, index, Source::Unknown);
            }
        }
        self.blocks.push(source);
        let flow = self.nodes(&item, &branch.body);
        self.blocks.pop();
        self.variables.truncate(mark);
        flow
    }

    fn scope(&self) -> Scope<'_, 'e> {
        Scope { input: self.input, blocks: &self.blocks, variables: &self.variables }
    }

    fn set_top(&mut self, from_top: usize, value: Value, source: Source<'e>) {
        let index = self.variables.len().saturating_sub(from_top);
        if let Some(variable) = self.variables.get_mut(index) {
            (variable.value, variable.source) = (value, source);
        }
    }

    fn assign(&mut self, name: &str, value: Value, at: usize) -> Run<()> {
        self.pay_for_variable(name, at)?;
        match self.variables.iter_mut().rev().find(|variable| variable.name == name) {
            Some(variable) => {
                (variable.value, variable.source) = (value, Source::Unknown);
                Ok(())
            }
            None => fail(at, Problem::new(ErrorCode::TemplateSyntax, format!("found the undefined variable {name}"))),
        }
    }

    /// Pays for the search of a variable, whose name is compared with others.
    fn pay_for_variable(&mut self, name: &str, at: usize) -> Run<()> {
        let length = 1 + (name.len() / BYTES_OF_VARIABLE) as u64;
        self.context.steps(length.saturating_mul(self.variables.len() as u64) / VARIABLES_PER_STEP).at(at)
    }

    fn variable(&mut self, name: &str, at: usize) -> Run<Value> {
        self.pay_for_variable(name, at)?;
        match self.variables.iter().rev().find(|variable| variable.name == name) {
            Some(variable) => Ok(variable.value.clone()),
            None => fail(at, Problem::new(ErrorCode::TemplateSyntax, format!("found the undefined variable {name}"))),
        }
    }

    fn pipeline(&mut self, dot: &Value, pipeline: &'e Pipeline) -> Run<Value> {
        self.context.step().at(pipeline.at)?;
        let mut last = None;
        for command in &pipeline.commands {
            let value = self.command(dot, command, last).map_err(|(problem, at)| {
                let is_about_missing = problem.code == ErrorCode::TemplateMissingValue;
                let usage = LostUsage::GoArgument;
                (if is_about_missing { self.scope().lacks_value(problem, pipeline, usage) } else { problem }, at)
            })?;
            last = Some(value.unboxed());
        }
        let value = last.unwrap_or(Value::Invalid);
        let (blocks, variables) = (self.blocks.len(), self.variables.len());
        for name in &pipeline.variables {
            if pipeline.is_assignment {
                self.assign(name, value.clone(), pipeline.at)?;
            } else {
                let source = Source::Pipeline { pipeline, blocks, variables, round: None };
                self.variables.push(Variable { name, value: value.clone(), source });
            }
        }
        Ok(value)
    }
}
