//! The curve of what was tried and the best so far, and the range that it is drawn in.
//!
//! Owns the picture. A run that went astray must not flatten it, so the range is that of most values
//! and of all that was believed. Must not know where values come from.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::Span;
use ratatui::widgets::{Axis, Chart, Dataset, GraphType, Widget as _};

use super::board::Curve;
use crate::domain::chart::Goal;
use crate::view::figure;

/// The share of values at the bad end that may lie outside.
const ASTRAY: f64 = 0.1;

impl Curve {
    /// The range of values that is shown; none where there is nothing to show.
    fn range(&self, goal: Goal) -> Option<(f64, f64)> {
        let mut values: Vec<f64> = self
            .baseline
            .iter()
            .chain(&self.tried)
            .map(|(_, value)| *value)
            .collect();
        values.sort_by(f64::total_cmp);
        let cut = (values.len() as f64 * ASTRAY) as usize;
        let most = match goal {
            Goal::Min => &values[..values.len() - cut],
            Goal::Max => &values[cut..],
        };
        let believed = self.best.iter().map(|(_, value)| value);
        let (lo, hi) = most
            .iter()
            .chain(believed)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), value| {
                (lo.min(*value), hi.max(*value))
            });
        if lo > hi {
            return None;
        }
        let air = ((hi - lo) * 0.05).max(hi.abs().max(lo.abs()) * 1e-6 + f64::MIN_POSITIVE);
        Some((lo - air, hi + air))
    }

    /// Draws it; says so where there is nothing yet.
    pub(super) fn draw(&self, goal: Goal, area: Rect, buffer: &mut Buffer) {
        let Some((lo, hi)) = self.range(goal) else {
            let dim = Style::new().add_modifier(Modifier::DIM);
            buffer.set_stringn(
                area.x,
                area.y,
                "no run has given a value yet",
                area.width.into(),
                dim,
            );
            return;
        };
        let dots = |data, colour| {
            Dataset::default()
                .marker(Marker::Braille)
                .graph_type(GraphType::Scatter)
                .style(Style::new().fg(colour))
                .data(data)
        };
        let best = Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(Color::Green))
            .data(&self.best);
        let until = self.until.max(1.0);
        let label = |text: String| Span::styled(text, Style::new().add_modifier(Modifier::DIM));
        let x = Axis::default()
            .bounds([0.0, until])
            .labels([label("0".to_owned()), label(figure::span(until.floor()))]);
        let y = Axis::default()
            .bounds([lo, hi])
            .labels([label(figure::number(lo)), label(figure::number(hi))]);
        Chart::new(vec![
            dots(&self.baseline, Color::Blue),
            dots(&self.tried, Color::Yellow),
            best,
        ])
        .legend_position(None)
        .x_axis(x)
        .y_axis(y)
        .render(area, buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_went_astray_does_not_flatten_the_rest() {
        let mut curve = Curve {
            tried: (0..20)
                .map(|n| (f64::from(n), 3.0 + f64::from(n) / 10.0))
                .collect(),
            until: 20.0,
            ..Curve::default()
        };
        curve.tried.push((7.0, 1e9));
        let (lo, hi) = curve.range(Goal::Min).expect("a range");
        assert!(lo > 2.5 && hi < 6.0, "{lo} {hi}");
        assert_eq!(Curve::default().range(Goal::Max), None);
        let one = Curve {
            best: vec![(0.0, 0.0)],
            ..Curve::default()
        };
        let (lo, hi) = one.range(Goal::Min).expect("a range");
        assert!(lo < hi);
    }
}
