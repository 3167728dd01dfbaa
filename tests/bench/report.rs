//! Samples, their medians and spread, and the table of all.

use std::time::Duration;

/// All figures of a run, in their order.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

struct Row {
    name: String,
    figure: String,
    verdict: String,
    definition: String,
}

/// Times of one kind of thing.
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// In milliseconds.
    pub(crate) fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// The differences between these and `others`, each pair taken right after one another.
    pub(crate) fn pairs(ours: &[Duration], others: &[Duration]) -> Self {
        let mut above: Vec<_> =
            ours.iter().zip(others).map(|(ours, other)| (ours.as_secs_f64() - other.as_secs_f64()) * 1e3).collect();
        above.sort_by(f64::total_cmp);
        Self(above)
    }

    /// The sample below which `percent` of all lie.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((self.0.len() * percent / 100).min(last)).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }
}

impl Report {
    /// Says what comes, on standard error: some of it takes long.
    pub(crate) fn note(&self, text: &str) {
        use std::io::Write;
        // Nobody reads it: then nobody is told.
        let _ = writeln!(std::io::stderr(), "bench: {text}");
    }

    /// A figure taken once. It must not be above `bar`.
    pub(crate) fn once(&mut self, name: &str, value: f64, unit: &str, bar: Option<f64>, definition: &str) {
        self.add(name, format!("{value:.2} {unit}"), value, unit, bar, definition);
    }

    /// A figure taken once. It must not be below `bar`.
    pub(crate) fn at_least(&mut self, name: &str, value: f64, unit: &str, bar: f64, definition: &str) {
        let verdict = if value >= bar { "at least" } else { "BELOW" };
        self.row(name, format!("{value:.2} {unit}"), format!("  {verdict} {bar} {unit}"), definition);
    }

    /// The median of `samples`, with their spread.
    pub(crate) fn median(&mut self, name: &str, samples: &Samples, bar: Option<f64>, definition: &str) {
        let spread = format!("{:.2} .. {:.2}", samples.percentile(10), samples.percentile(90));
        let figure =
            format!("{:.2} ms  (median of {}; 10th to 90th percentile {spread})", samples.median(), samples.0.len());
        self.add(name, figure, samples.median(), "ms", bar, definition);
    }

    /// The 99th percentile of `samples`.
    pub(crate) fn p99(&mut self, name: &str, samples: &Samples, bar: Option<f64>, definition: &str) {
        let (median, worst) = (samples.median(), samples.percentile(100));
        let value = samples.percentile(99);
        let figure =
            format!("{value:.2} ms  (99th percentile of {}; median {median:.2}, worst {worst:.2})", samples.0.len());
        self.add(name, figure, value, "ms", bar, definition);
    }

    fn add(&mut self, name: &str, figure: String, value: f64, unit: &str, bar: Option<f64>, definition: &str) {
        let verdict = match bar {
            None => String::new(),
            Some(bar) if value <= bar => format!("  within {bar} {unit}"),
            Some(bar) => format!("  ABOVE {bar} {unit}"),
        };
        self.row(name, figure, verdict, definition);
    }

    fn row(&mut self, name: &str, figure: String, verdict: String, definition: &str) {
        self.note(&format!("{name}: {figure}{verdict}"));
        self.rows.push(Row { name: name.to_owned(), figure, verdict, definition: definition.to_owned() });
    }

    /// Prints every figure, then what each means.
    #[expect(clippy::print_stdout, reason = "a bench's answer is its output")]
    pub(crate) fn print(&self) {
        for Row { name, figure, verdict, .. } in &self.rows {
            println!("{name:<22} {figure}{verdict}");
        }
        println!();
        for Row { name, definition, .. } in &self.rows {
            println!("{name:<22} {definition}");
        }
    }
}

/// Bytes in millions.
pub(crate) fn megabytes(bytes: usize) -> f64 {
    f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1000.0
}
