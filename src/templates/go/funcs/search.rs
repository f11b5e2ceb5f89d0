//! Searches with regular expressions whose work is counted byte by byte.
//!
//! A search takes time that grows with the length of the text that is read, times the size of the compiled expression. The
//! regex crate does not report how much it reads, and a loop over all matches can read the rest of the text for each of
//! them. So the loops over the automata are our own: each byte is paid for before the next ones are read.

use std::cell::{OnceCell, RefCell};
use std::ops::Range;

use regex_automata::hybrid::dfa::{Cache as DfaCache, DFA};
use regex_automata::hybrid::regex::{Cache, Regex};
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{self, NFA};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use crate::templates::go::context::{Context, Problem};

/// The largest automaton of an expression, in bytes.
const AUTOMATON_BYTES: usize = 256 * 1024;
/// Bytes of the states that one search direction keeps.
const CACHE_BYTES: usize = 256 * 1024;
/// How many bytes are read between two payments.
const BYTES_PER_PAYMENT: usize = 1024;

/// A compiled expression.
pub(super) struct Searcher {
    pattern: String,
    regex: Regex,
    cache: RefCell<Cache>,
    groups: OnceCell<PikeVM>,
    /// States of the automaton that searches forward.
    forward: u64,
    /// States of the automaton that searches backward.
    reverse: u64,
}

/// Why an expression cannot be compiled.
pub(super) enum NotCompiled {
    Syntax,
    TooLarge,
}

impl Searcher {
    /// Compiles `pattern`, in the syntax of the regex crate.
    pub(super) fn new(pattern: String) -> Result<Self, NotCompiled> {
        let dfa = DFA::config().cache_capacity(CACHE_BYTES).skip_cache_capacity_check(true);
        let regex =
            Regex::builder().syntax(syntax()).thompson(automaton()).dfa(dfa).build(&pattern).map_err(
                |_| match is_valid(&pattern) {
                    false => NotCompiled::Syntax,
                    true => NotCompiled::TooLarge,
                },
            )?;
        let states = |nfa: &NFA| nfa.states().len() as u64;
        let (forward, reverse) = (states(regex.forward().get_nfa()), states(regex.reverse().get_nfa()));
        let cache = RefCell::new(regex.create_cache());
        Ok(Self { pattern, regex, cache, groups: OnceCell::new(), forward, reverse })
    }

    /// The states of its automata.
    pub(super) fn states(&self) -> u64 {
        self.forward + self.reverse
    }

    /// Returns `true` if it matches anywhere in `text`.
    pub(super) fn is_match(&self, context: &mut Context<'_>, text: &[u8]) -> Result<bool, Problem> {
        self.end(context, &Input::new(text).earliest(true)).map(|end| end.is_some())
    }

    /// The first match in `text` from `from` on.
    pub(super) fn find(
        &self,
        context: &mut Context<'_>,
        text: &[u8],
        from: usize,
    ) -> Result<Option<Range<usize>>, Problem> {
        let Some(end) = self.end(context, &Input::new(text).range(from..))? else {
            return Ok(None);
        };
        let start = self.start(context, &Input::new(text).range(from..end).anchored(Anchored::Yes))?;
        Ok(Some(start.unwrap_or(end)..end))
    }

    /// The groups of the match at `found`.
    pub(super) fn groups(
        &self,
        context: &mut Context<'_>,
        text: &[u8],
        found: Range<usize>,
    ) -> Result<Vec<Option<Range<usize>>>, Problem> {
        let machine = match self.groups.get() {
            Some(machine) => machine,
            None => {
                context.search(self.forward, 64)?;
                let machine = PikeVM::builder().syntax(syntax()).thompson(automaton()).build(&self.pattern);
                let machine = machine.map_err(|_| too_large())?;
                self.groups.get_or_init(|| machine)
            }
        };
        let groups = machine.get_nfa().group_info().all_group_len();
        context.search(self.forward, (1 + found.len()).saturating_mul(1 + groups))?;
        let mut captures = machine.create_captures();
        let input = Input::new(text).range(found).anchored(Anchored::Yes);
        machine.captures(&mut machine.create_cache(), input, &mut captures);
        Ok((0..captures.group_len()).map(|group| captures.get_group(group).map(|span| span.range())).collect())
    }

    /// Where the first match ends.
    fn end(&self, context: &mut Context<'_>, input: &Input<'_>) -> Result<Option<usize>, Problem> {
        let mut cache = self.cache.borrow_mut();
        let (cache, dfa) = (cache.forward_mut(), self.regex.forward());
        let (text, mut found) = (input.haystack(), None);
        let mut state = dfa.start_state_forward(cache, input).map_err(|_| too_large())?;
        let mut unpaid = 0;
        for (at, byte) in text.iter().enumerate().take(input.end()).skip(input.start()) {
            unpaid = pay_in_parts(context, self.forward, unpaid + 1)?;
            state = dfa.next_state(cache, state, *byte).map_err(|_| too_large())?;
            // A match is seen one byte after its end.
            if state.is_match() {
                found = Some(at);
            }
            if state.is_dead() || state.is_quit() || found.is_some() && input.get_earliest() {
                context.search(self.forward, unpaid)?;
                return Ok(found);
            }
        }
        context.search(self.forward, unpaid)?;
        let last = after(dfa, cache, state, text.get(input.end()))?;
        Ok(if last { Some(input.end()) } else { found })
    }

    /// Where the match begins that ends at the end of `input`.
    fn start(&self, context: &mut Context<'_>, input: &Input<'_>) -> Result<Option<usize>, Problem> {
        let mut cache = self.cache.borrow_mut();
        let (cache, dfa) = (cache.reverse_mut(), self.regex.reverse());
        let (text, mut found) = (input.haystack(), None);
        let mut state = dfa.start_state_reverse(cache, input).map_err(|_| too_large())?;
        let mut unpaid = 0;
        for at in (input.start()..input.end()).rev() {
            unpaid = pay_in_parts(context, self.reverse, unpaid + 1)?;
            state = dfa.next_state(cache, state, text[at]).map_err(|_| too_large())?;
            if state.is_match() {
                found = Some(at + 1);
            }
            if state.is_dead() || state.is_quit() {
                context.search(self.reverse, unpaid)?;
                return Ok(found);
            }
        }
        context.search(self.reverse, unpaid)?;
        let before = input.start().checked_sub(1).and_then(|before| text.get(before));
        Ok(if after(dfa, cache, state, before)? { Some(input.start()) } else { found })
    }
}

/// Pays once `unpaid` bytes are enough for a payment. Returns the bytes that are left to pay.
fn pay_in_parts(context: &mut Context<'_>, states: u64, unpaid: usize) -> Result<usize, Problem> {
    if unpaid < BYTES_PER_PAYMENT {
        return Ok(unpaid);
    }
    context.search(states, unpaid)?;
    Ok(0)
}

/// Returns `true` if the bytes up to the end of the range match. `next` is the byte beyond it.
fn after(
    dfa: &DFA,
    cache: &mut DfaCache,
    state: regex_automata::hybrid::LazyStateID,
    next: Option<&u8>,
) -> Result<bool, Problem> {
    let state = match next {
        Some(byte) => dfa.next_state(cache, state, *byte),
        None => dfa.next_eoi_state(cache, state),
    };
    state.map(|state| state.is_match()).map_err(|_| too_large())
}

fn syntax() -> syntax::Config {
    syntax::Config::new().utf8(false)
}

fn automaton() -> thompson::Config {
    NFA::config().utf8(false).nfa_size_limit(Some(AUTOMATON_BYTES))
}

fn is_valid(pattern: &str) -> bool {
    syntax::parse_with(pattern, &syntax()).is_ok()
}

/// The error of an expression whose automaton is too large.
pub(super) fn too_large() -> Problem {
    Problem::limit(format!(
        "expected a regular expression of at most {AUTOMATON_BYTES} bytes when it is compiled, found a larger one"
    ))
}
