//! The plot of a run's progress, as SVG: what was discarded is grey, what rests on the candidate's own
//! word hollow, what was promoted solid with its interval; by experiment, hour, GPU-hour or dollar.
//!
//! Owns the drawing. What is drawn is an argument, and so is the axis. Must not know the ledger.

use std::fmt::Write as _;

use super::figure::number;
use super::report::html::escaped;

/// The drawing's size, in its own units: narrow enough that its words can be read on a phone.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 300.0;
/// Room for the words around it.
const LEFT: f64 = 54.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;
/// About as many ticks as there is room for.
const TICKS: f64 = 5.0;
/// Discarded values further away than this many times the range of what counts are drawn at the edge,
/// so that one diverged run does not flatten all others.
const STRAY: f64 = 1.5;
/// How it looks where it stands alone.
const STYLE: &str = include_str!("report/plot.css");
const STYLE_ALONE: &str = include_str!("report/plot_alone.css");

/// What progress is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// Measured runs that ended.
    Experiments,
    /// Hours since the run began.
    WallHours,
    /// Hours that measured runs had GPUs for.
    GpuHours,
    /// US dollars for models.
    Usd,
}

impl Axis {
    /// All axes.
    pub const ALL: [Self; 4] = [
        Self::Experiments,
        Self::WallHours,
        Self::GpuHours,
        Self::Usd,
    ];

    /// The word for it on a command line and in a file's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Experiments => "experiment",
            Self::WallHours => "wall_hours",
            Self::GpuHours => "gpu_hours",
            Self::Usd => "usd",
        }
    }

    /// What stands under it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Experiments => "by experiment",
            Self::WallHours => "by hour",
            Self::GpuHours => "by GPU-hour",
            Self::Usd => "by dollar",
        }
    }

    /// The axis of this name.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|axis| axis.name() == word)
    }

    /// The name of the plot's file beside the report.
    #[must_use]
    pub fn file(self) -> String {
        format!("progress-{}.svg", self.name())
    }

    fn title(self) -> &'static str {
        match self {
            Self::Experiments => "measured runs",
            Self::WallHours => "hours",
            Self::GpuHours => "GPU-hours of measured runs",
            Self::Usd => "US dollars for models",
        }
    }
}

/// How far the run was, on every axis, in the order of [`Axis::ALL`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent(pub [f64; 4]);

impl Spent {
    fn on(&self, axis: Axis) -> f64 {
        self.0[axis as usize]
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// A claim that came to nothing.
    Discarded,
    /// A run without a claim.
    Looked,
    /// Promoted on the candidate's own word.
    Reported,
    /// Promoted on the harness's.
    Promoted,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// Its place in the page: `h3`.
    pub anchor: String,
    /// In a line.
    pub title: String,
    /// How far the run was when it was decided.
    pub at: Spent,
    /// The metric.
    pub value: f64,
    /// Its interval.
    pub interval: Option<[f64; 2]>,
    /// What became of it.
    pub fate: Fate,
}

/// All that is drawn.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// The metric's name.
    pub metric: String,
    /// Whether models were pretended.
    pub mock: bool,
    /// Whether less is better.
    pub lower: bool,
    /// The baseline's mean and standard deviation.
    pub baseline: Option<(f64, f64)>,
    /// Attempts.
    pub marks: Vec<Mark>,
    /// The best that stands, from each point on.
    pub best: Vec<(Spent, f64)>,
    /// How far the run is now.
    pub end: Spent,
}

impl Progress {
    /// The drawing within a page, whose style it takes.
    #[must_use]
    pub fn inline(&self, axis: Axis) -> String {
        self.drawing(axis, "", true)
    }

    /// The drawing as a file of its own.
    #[must_use]
    pub fn alone(&self, axis: Axis) -> String {
        let style = format!("<style>{STYLE_ALONE}{STYLE}</style>");
        let mut svg = self.drawing(axis, &style, false);
        svg.push('\n');
        svg
    }

    fn drawing(&self, axis: Axis, style: &str, links: bool) -> String {
        let to = self.end.on(axis).max(f64::MIN_POSITIVE);
        let frame = Frame {
            x: Scale::of(0.0, to, LEFT, WIDTH - RIGHT),
            y: self.vertical(),
        };
        let words = format!("{} {}", self.metric, axis.words());
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"progress\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=\"img\" aria-label=\"{}\">{style}",
            escaped(&words)
        );
        frame.rules(&mut out, axis);
        self.heading(&mut out);
        self.reference(&mut out, &frame);
        self.course(&mut out, &frame, axis);
        let solid = |mark: &&Mark| matches!(mark.fate, Fate::Reported | Fate::Promoted);
        // What counts is drawn last, on top.
        let (kept, dropped): (Vec<&Mark>, Vec<&Mark>) = self.marks.iter().partition(solid);
        for mark in dropped.into_iter().chain(kept) {
            mark.draw(&mut out, &frame, axis, links);
        }
        if self.marks.is_empty() {
            put(
                &mut out,
                "plot-soft",
                WIDTH / 2.0,
                HEIGHT / 2.0,
                "middle",
                "nothing was measured yet",
            );
        }
        out.push_str("</svg>");
        out
    }

    /// The scale of the metric: from what counts, and strays only as far as they do not flatten it.
    fn vertical(&self) -> Scale {
        let counts = self
            .baseline
            .iter()
            .flat_map(|(mean, sd)| [mean - sd, mean + sd]);
        let marks = self.marks.iter();
        let kept = marks
            .clone()
            .filter(|mark| matches!(mark.fate, Fate::Reported | Fate::Promoted))
            .flat_map(|mark| {
                mark.interval
                    .unwrap_or([mark.value; 2])
                    .into_iter()
                    .chain([mark.value])
            });
        let all: Vec<f64> = counts.chain(kept).filter(|it| it.is_finite()).collect();
        let rest: Vec<f64> = marks
            .map(|mark| mark.value)
            .filter(|it| it.is_finite())
            .collect();
        let core = if all.is_empty() { &rest } else { &all };
        let (Some(lo), Some(hi)) = (least(core), most(core)) else {
            return Scale::of(0.0, 1.0, HEIGHT - BOTTOM, TOP);
        };
        let reach = STRAY * (hi - lo);
        let near: Vec<f64> = rest
            .into_iter()
            .filter(|it| *it >= lo - reach && *it <= hi + reach)
            .collect();
        let lo = least(&near).unwrap_or(lo).min(lo);
        let hi = most(&near).unwrap_or(hi).max(hi);
        let room = if hi > lo {
            0.06 * (hi - lo)
        } else {
            hi.abs().max(1.0) * 0.05
        };
        Scale::of(lo - room, hi + room, HEIGHT - BOTTOM, TOP)
    }

    fn heading(&self, out: &mut String) {
        let better = if self.lower {
            "lower is better"
        } else {
            "higher is better"
        };
        let mock = if self.mock { "MOCKED: " } else { "" };
        let words = format!("{mock}{} ({better})", self.metric);
        put(out, "plot-ink", LEFT - 44.0, 14.0, "start", &words);
    }

    /// Where the run began: mean and spread of the baseline.
    fn reference(&self, out: &mut String, frame: &Frame) {
        let Some((mean, sd)) = self.baseline else {
            return;
        };
        let (top, bottom) = (frame.y.at(mean + sd), frame.y.at(mean - sd));
        let (top, bottom) = (top.min(bottom), top.max(bottom));
        let (from, wide) = (LEFT, WIDTH - LEFT - RIGHT);
        write!(
            out,
            "<rect class=\"plot-band\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{:.1}\"/>\
             <path class=\"plot-base\" d=\"M{from:.1} {1:.1}H{2:.1}\"/>",
            bottom - top,
            frame.y.at(mean),
            from + wide
        )
        .expect("a string takes everything");
    }

    /// The best that stands, as it went.
    fn course(&self, out: &mut String, frame: &Frame, axis: Axis) {
        let Some((mean, _)) = self.baseline else {
            return;
        };
        let mut path = format!("M{:.1} {:.1}", frame.x.at(0.0), frame.y.at(mean));
        for (at, value) in &self.best {
            write!(
                path,
                "H{:.1}V{:.1}",
                frame.x.at(at.on(axis)),
                frame.y.at(*value)
            )
            .expect("a string takes everything");
        }
        write!(path, "H{:.1}", frame.x.at(self.end.on(axis))).expect("a string takes everything");
        write!(out, "<path class=\"plot-best\" d=\"{path}\"/>").expect("a string takes everything");
    }
}

impl Mark {
    fn draw(&self, out: &mut String, frame: &Frame, axis: Axis, links: bool) {
        let (x, y) = (frame.x.at(self.at.on(axis)), frame.y.at(self.value));
        let (class, radius) = match self.fate {
            Fate::Discarded => ("plot-dropped", 3.0),
            Fate::Looked => ("plot-looked", 2.5),
            Fate::Reported => ("plot-reported", 4.0),
            Fate::Promoted => ("plot-promoted", 4.0),
        };
        let mut drawn = String::new();
        if let Some([lo, hi]) = self.interval {
            let (a, b) = (frame.y.at(lo), frame.y.at(hi));
            let (l, r) = (x - 3.0, x + 3.0);
            write!(
                drawn,
                "<path class=\"plot-ci\" d=\"M{x:.1} {a:.1}V{b:.1}M{l:.1} {a:.1}H{r:.1}M{l:.1} {b:.1}H{r:.1}\"/>"
            )
            .expect("a string takes everything");
        }
        let words = format!("{} {}: {}", self.anchor, self.title, number(self.value));
        write!(
            drawn,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"><title>{}</title></circle>",
            escaped(&words)
        )
        .expect("a string takes everything");
        if links {
            let anchor = escaped(&self.anchor);
            drawn = format!("<a href=\"#{anchor}\">{drawn}</a>");
        }
        out.push_str(&drawn);
    }
}

/// Both scales.
struct Frame {
    x: Scale,
    y: Scale,
}

impl Frame {
    fn rules(&self, out: &mut String, axis: Axis) {
        for tick in self.y.ticks() {
            let y = self.y.at(tick);
            write!(
                out,
                "<path class=\"plot-rule\" d=\"M{LEFT} {y:.1}H{:.1}\"/>",
                WIDTH - RIGHT
            )
            .expect("a string takes everything");
            put(out, "plot-soft", LEFT - 6.0, y + 4.0, "end", &number(tick));
        }
        for tick in self.x.ticks() {
            let x = self.x.at(tick);
            put(
                out,
                "plot-soft",
                x,
                HEIGHT - BOTTOM + 16.0,
                "middle",
                &number(tick),
            );
        }
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        put(
            out,
            "plot-soft",
            middle,
            HEIGHT - 6.0,
            "middle",
            axis.title(),
        );
    }
}

/// From values to places.
#[derive(Debug, Clone, Copy)]
struct Scale {
    lo: f64,
    hi: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn of(lo: f64, hi: f64, from: f64, to: f64) -> Self {
        Self { lo, hi, from, to }
    }

    /// The place of a value; what lies outside is put at the edge.
    fn at(&self, value: f64) -> f64 {
        let share = (value - self.lo) / (self.hi - self.lo);
        let share = if share.is_nan() {
            0.0
        } else {
            share.clamp(0.0, 1.0)
        };
        self.from + share * (self.to - self.from)
    }

    /// Round values within it.
    fn ticks(&self) -> Vec<f64> {
        let span = self.hi - self.lo;
        if !(span.is_finite() && span > 0.0) {
            return Vec::new();
        }
        let rough = span / TICKS;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|it| it * power)
            .find(|step| *step >= rough)
            .unwrap_or(power);
        let mut ticks = Vec::new();
        let mut tick = (self.lo / step).ceil() * step;
        while tick <= self.hi + step * 1e-9 && ticks.len() < 12 {
            // Not a zero that is almost one.
            ticks.push(if tick.abs() < step * 1e-9 { 0.0 } else { tick });
            tick += step;
        }
        ticks
    }
}

fn least(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::min)
}

fn most(values: &[f64]) -> Option<f64> {
    values.iter().copied().reduce(f64::max)
}

/// Some words at a place.
fn put(out: &mut String, class: &str, x: f64, y: f64, anchor: &str, words: &str) {
    write!(
        out,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escaped(words)
    )
    .expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(anchor: &str, at: f64, value: f64, fate: Fate) -> Mark {
        Mark {
            anchor: anchor.to_owned(),
            title: "a <b> & \"c\"".to_owned(),
            at: Spent([at; 4]),
            value,
            interval: (fate == Fate::Promoted).then_some([value - 0.1, value + 0.1]),
            fate,
        }
    }

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(
            Scale::of(0.0, 10.0, 0.0, 1.0).ticks(),
            [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
        );
        assert_eq!(Scale::of(0.93, 1.02, 0.0, 1.0).ticks().len(), 5);
        assert!(Scale::of(1.0, 1.0, 0.0, 1.0).ticks().is_empty());
        assert_eq!(Scale::of(0.0, 10.0, 0.0, 1.0).at(f64::NAN), 0.0);
    }

    #[test]
    fn grey_hollow_and_solid_are_told_apart_and_a_stray_flattens_nothing() {
        let progress = Progress {
            metric: "val_loss".to_owned(),
            lower: true,
            baseline: Some((2.0, 0.1)),
            marks: vec![
                mark("h1", 1.0, 1.5, Fate::Promoted),
                mark("h2", 2.0, 900.0, Fate::Discarded),
                mark("h3", 3.0, 1.2, Fate::Reported),
                mark("e9", 3.0, 1.9, Fate::Looked),
            ],
            best: vec![(Spent([1.0; 4]), 1.5), (Spent([3.0; 4]), 1.2)],
            end: Spent([4.0; 4]),
            mock: true,
        };
        let scale = progress.vertical();
        assert!(scale.hi < 3.0, "{scale:?}");
        for axis in Axis::ALL {
            let svg = progress.alone(axis);
            for class in [
                "plot-dropped",
                "plot-looked",
                "plot-reported",
                "plot-promoted",
                "plot-ci",
                "plot-best",
            ] {
                assert!(svg.contains(&format!("class=\"{class}\"")), "{class}");
            }
            assert!(svg.contains("MOCKED") && svg.contains("prefers-color-scheme"));
            assert!(svg.contains("a &lt;b&gt; &amp; &quot;c&quot;") && !svg.contains("NaN"));
            assert!(svg.contains(axis.title()));
            assert!(
                !svg.contains("href=\"#"),
                "links lead nowhere from a file of its own"
            );
        }
        assert!(progress.inline(Axis::Usd).contains("<a href=\"#h3\">"));
    }

    #[test]
    fn nothing_can_be_drawn_too() {
        let svg = Progress::default().alone(Axis::Experiments);
        assert!(
            svg.contains("nothing was measured yet") && !svg.contains("NaN"),
            "{svg}"
        );
    }
}
