//! Writes JSON whose structure comes from the template alone: brackets and names are the program's steps, commas are
//! placed here, and a value is encoded whole or escaped.

use std::ops::Range;

use super::program::Bracket;
use crate::json::write_escaped;
use crate::session::Verbatim;
use crate::templates::Rendered;

/// Why nothing more can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Bytes,
    Depth,
}

pub(super) struct Writer {
    out: String,
    /// What of it was copied from the session as it stands.
    copied: Vec<Range<usize>>,
    limit: usize,
    depth_limit: usize,
    open: Vec<Level>,
    /// How many arrays and objects of one value are being written.
    inner: usize,
}

struct Level {
    bracket: Bracket,
    has_items: bool,
    item: Option<Item>,
}

/// The member or element that is being written.
struct Item {
    start: usize,
    had_items: bool,
    is_dropped: bool,
}

impl Writer {
    pub(super) fn new(limit: usize, depth_limit: usize) -> Self {
        Self { out: String::new(), copied: Vec::new(), limit, depth_limit, open: Vec::new(), inner: 0 }
    }

    pub(super) fn finish(self) -> Rendered {
        Rendered { text: self.out, copied: self.copied }
    }

    fn push(&mut self, text: &str) -> Result<(), Full> {
        if self.out.len() + text.len() > self.limit {
            return Err(Full::Bytes);
        }
        self.out.push_str(text);
        Ok(())
    }

    fn begin_item(&mut self) -> Result<(), Full> {
        let Some(level) = self.open.last_mut() else { return Ok(()) };
        level.item = Some(Item { start: self.out.len(), had_items: level.has_items, is_dropped: false });
        let separate = std::mem::replace(&mut level.has_items, true);
        if separate { self.push(",") } else { Ok(()) }
    }

    fn end_item(&mut self) {
        let Some(level) = self.open.last_mut() else { return };
        if let Some(item) = level.item.take().filter(|item| item.is_dropped) {
            self.out.truncate(item.start);
            // Ascending, so only the last ones can stand in the item.
            while self.copied.last().is_some_and(|copied| copied.end > item.start) {
                self.copied.pop();
            }
            level.has_items = item.had_items;
        }
    }

    /// Leaves out the member or element that is being written, once it ends.
    pub(super) fn drop_item(&mut self) {
        if let Some(item) = self.open.last_mut().and_then(|level| level.item.as_mut()) {
            item.is_dropped = true;
        }
    }

    /// Before a value: in an array it is an item of its own.
    pub(super) fn begin_value(&mut self) -> Result<(), Full> {
        match self.open.last() {
            Some(level) if level.bracket == Bracket::Array => self.begin_item(),
            _ => Ok(()),
        }
    }

    /// After a value.
    pub(super) fn end_value(&mut self) {
        self.end_item();
    }

    pub(super) fn open(&mut self, bracket: Bracket) -> Result<(), Full> {
        self.begin_value()?;
        if self.open.len() >= self.depth_limit {
            return Err(Full::Depth);
        }
        self.push(if bracket == Bracket::Object { "{" } else { "[" })?;
        self.open.push(Level { bracket, has_items: false, item: None });
        Ok(())
    }

    pub(super) fn close(&mut self) -> Result<(), Full> {
        if let Some(level) = self.open.pop() {
            self.push(if level.bracket == Bracket::Object { "}" } else { "]" })?;
        }
        self.end_value();
        Ok(())
    }

    pub(super) fn name(&mut self, quoted: &str) -> Result<(), Full> {
        self.begin_item()?;
        self.push(quoted)?;
        self.push(":")
    }

    pub(super) fn name_start(&mut self) -> Result<(), Full> {
        self.begin_item()?;
        self.push("\"")
    }

    pub(super) fn name_end(&mut self) -> Result<(), Full> {
        self.push("\":")
    }

    pub(super) fn string_start(&mut self) -> Result<(), Full> {
        self.begin_value()?;
        self.push("\"")
    }

    pub(super) fn string_end(&mut self) -> Result<(), Full> {
        self.push("\"")?;
        self.end_value();
        Ok(())
    }

    /// Text that is JSON already, between a begin and an end.
    pub(super) fn raw(&mut self, text: &str) -> Result<(), Full> {
        self.push(text)
    }

    /// Text that is to be escaped, inside a string or a name.
    pub(super) fn escaped(&mut self, text: &str) -> Result<(), Full> {
        if self.out.len() + text.len() > self.limit {
            return Err(Full::Bytes);
        }
        write_escaped(text, &mut self.out);
        if self.out.len() > self.limit { Err(Full::Bytes) } else { Ok(()) }
    }

    pub(super) fn quoted(&mut self, text: &str) -> Result<(), Full> {
        self.push("\"")?;
        self.escaped(text)?;
        self.push("\"")
    }

    /// A value of the session as it stands there, between a begin and an end.
    pub(super) fn copy(&mut self, value: Verbatim<'_>) -> Result<(), Full> {
        self.check_depth(value.depth)?;
        let start = self.out.len();
        self.push(value.text)?;
        self.copied.push(start..self.out.len());
        Ok(())
    }

    /// Whether a value with `depth` arrays and objects inside each other has room here.
    pub(super) fn check_depth(&self, depth: usize) -> Result<(), Full> {
        if self.open.len() + self.inner + depth > self.depth_limit { Err(Full::Depth) } else { Ok(()) }
    }

    /// Goes into an array or object of a value.
    pub(super) fn descend(&mut self) -> Result<(), Full> {
        self.inner += 1;
        self.check_depth(0)
    }

    pub(super) fn ascend(&mut self) {
        self.inner -= 1;
    }
}
