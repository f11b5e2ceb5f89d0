//! How large the regular expressions of templates and schemas are, and how many there may be.
//!
//! A search takes time that grows with the length of the text, times the size of the compiled expression. The measure of
//! the size is the states of its automaton (NFA).

use std::fmt;

use regex_automata::nfa::thompson::NFA;
use regex_automata::util::syntax;

/// The largest automaton of an expression, in bytes.
pub(crate) const LARGEST: usize = 256 * 1024;
/// How deep groups may stand inside each other.
pub(crate) const DEPTH: u32 = 64;
/// The most expressions of a template with its partials, or of a schema.
const MOST: usize = 64;
/// The most bytes of their automata together.
const MOST_BYTES: usize = 1024 * 1024;
/// How many bytes a search reads in one step, times the states of its automaton.
const STATES_PER_STEP: usize = 16;

/// The size of a compiled expression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PatternSize {
    /// States of its automaton.
    pub(crate) states: usize,
    /// Bytes of its automaton.
    bytes: usize,
}

impl PatternSize {
    /// Returns the size of `pattern`, or what is wrong with it.
    pub(crate) fn of(pattern: &str) -> Result<Self, String> {
        let automaton = NFA::compiler()
            .configure(NFA::config().nfa_size_limit(Some(LARGEST)))
            .syntax(syntax::Config::new().nest_limit(DEPTH))
            .build(pattern)
            .map_err(|error| error.to_string())?;
        Ok(Self { states: automaton.states().len(), bytes: automaton.memory_usage() })
    }

    /// The size of an expression that cannot be measured: the largest there is.
    pub(crate) fn largest() -> Self {
        Self { states: LARGEST / 32, bytes: LARGEST }
    }

    /// The steps of a search through `bytes` of text.
    pub(crate) fn search_steps(self, bytes: usize) -> usize {
        search_steps(self.states, bytes)
    }
}

/// The steps of a search through `bytes` of text with an automaton of `states`.
pub(crate) fn search_steps(states: usize, bytes: usize) -> usize {
    1 + bytes.saturating_mul(states) / STATES_PER_STEP
}

/// Counts the expressions of a template or schema when it is loaded.
#[derive(Debug, Default)]
pub(crate) struct PatternBudget {
    count: usize,
    bytes: usize,
}

/// More or larger expressions than a template or schema may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OverBudget {
    Count,
    Bytes,
}

impl PatternBudget {
    /// Takes an expression.
    pub(crate) fn take(&mut self, size: PatternSize) -> Result<(), OverBudget> {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(size.bytes);
        if self.count > MOST {
            Err(OverBudget::Count)
        } else if self.bytes > MOST_BYTES {
            Err(OverBudget::Bytes)
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count => write!(f, "expected at most {MOST} different regular expressions, found more"),
            Self::Bytes => write!(
                f,
                "expected regular expressions of at most {MOST_BYTES} bytes together when they are compiled, found larger ones"
            ),
        }
    }
}
