//! The tables: medians with their spread, and for each bar whether it is met. Nothing fails because of a figure.

/// Figures of the same thing, one for each round.
#[derive(Clone, Default)]
pub(crate) struct Rounds(pub(crate) Vec<f64>);

impl Rounds {
    pub(crate) fn median(&self) -> f64 {
        let mut figures = self.0.clone();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The median, with the least and the most.
    pub(crate) fn text(&self, decimals: usize) -> String {
        let least = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        format!("{:.decimals$} ({least:.decimals$}–{most:.decimals$})", self.median())
    }
}

/// A bar, and what was measured against it.
pub(crate) struct Bar {
    pub(crate) case: String,
    /// What is measured, and what it may be, in words.
    pub(crate) asks: String,
    pub(crate) limit: Limit,
    pub(crate) measured: Rounds,
    /// Why the figure says nothing about the bar.
    pub(crate) void: Option<&'static str>,
}

#[derive(Clone, Copy)]
pub(crate) enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

/// What a bar that needs the token cache says of a binary that has none.
pub(crate) const NO_CACHE: &str = "this binary has no token cache";

impl Bar {
    /// Whether the bar is met, in a word or a few.
    fn verdict(&self) -> String {
        if let Some(reason) = self.void {
            return format!("not applicable: {reason}");
        }
        let median = self.measured.median();
        let (is_met, missed_by) = match self.limit {
            Limit::AtLeast(least) => (median >= least, least / median),
            Limit::AtMost(most) => (median <= most, median / most),
        };
        match (is_met, missed_by.is_finite()) {
            (true, _) => "met".to_owned(),
            (false, true) => format!("**not met**, off by {:.0} %", (missed_by - 1.0) * 100.0),
            (false, false) => "**not met**".to_owned(),
        }
    }
}

pub(crate) fn print_bars(bars: &[Bar]) {
    println!("\n| case | bar | measured: median (least–most) | verdict |\n| --- | --- | --- | --- |");
    for bar in bars {
        println!("| {} | {} | {} | {} |", bar.case, bar.asks, bar.measured.text(2), bar.verdict());
    }
    let count = |word: &str| bars.iter().filter(|bar| bar.verdict().starts_with(word)).count();
    println!("\n{} of {} bars met, {} not applicable.", count("met"), bars.len(), count("not applicable"));
}
