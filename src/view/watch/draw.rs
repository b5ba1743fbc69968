//! Where the panels lie, at any size, and how they are drawn into a buffer.
//!
//! Owns the layout: three columns where there is room, two where there is some, else the agents above
//! one panel, and one panel alone on a small screen. Must not know what stands in a row.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Clear, Paragraph, Widget as _, Wrap};
use unicode_width::UnicodeWidthStr as _;

use super::board::Board;
use super::choice::{Choice, Focus};
use super::columns::{safe, span, style};
use super::page::Page;
use crate::view::figure;
use crate::view::paint::Tint;
use crate::view::runs::run_tint;
use crate::view::status::Spending;
use crate::view::table::cut;

/// Rows from which the agents are shown above another panel.
const TALL: u16 = 16;
/// Columns from which there are two columns of panels, and three.
const TWO: u16 = 100;
const THREE: u16 = 150;
/// Rows of each panel of a plain frame.
const PLAIN_ROWS: usize = 12;
/// The keys that are named at the bottom, the first ones where there is little room.
const HINTS: [&str; 8] = [
    "q quit",
    "? keys",
    "Enter open",
    "Tab panel",
    "↑↓ row",
    "p pause",
    "n needs you",
    "[ ] step in time",
];

/// Where everything lies.
#[derive(Debug, Default)]
struct Plan {
    panels: Vec<(Focus, Rect)>,
    strip: Option<Rect>,
    tabs: Option<Rect>,
}

/// Draws the board as chosen into an area of the buffer.
pub fn draw(board: &Board, choice: &Choice, area: Rect, buffer: &mut Buffer) {
    if area.width == 0 || area.height == 0 {
        return;
    }
    let heads = heads(area).min(area.height);
    for (row, line) in (0..heads).zip(head(board, area.width.into())) {
        buffer.set_line(area.x, area.y + row, &line, area.width);
    }
    let foot = u16::from(area.height > heads + 2);
    let body = Rect {
        y: area.y + heads,
        height: area.height.saturating_sub(heads + foot),
        ..area
    };
    let plan = arrange(body, board, choice);
    for (panel, area) in &plan.panels {
        draw_panel(board, choice, *panel, *area, plan.tabs.is_none(), buffer);
    }
    if let Some(area) = plan.strip {
        draw_strip(board, area, buffer);
    }
    if let Some(area) = plan.tabs {
        draw_tabs(choice, area, buffer);
    }
    if foot > 0 {
        let line = match &choice.said {
            Some(said) => Line::from(span(Tint::Notable, format!(" {}", safe(said)))),
            None => Line::from(span(Tint::Dim, hints(usize::from(area.width)))),
        };
        buffer.set_line(area.x, area.bottom() - 1, &line, area.width);
    }
    if let Some(page) = &choice.page {
        draw_page(page, choice.scroll, area, buffer);
    }
}

/// As many of the hints as fit whole.
fn hints(width: usize) -> String {
    let mut line = String::new();
    for hint in HINTS {
        let gap = if line.is_empty() { " " } else { "  " };
        if line.width() + gap.len() + hint.width() > width {
            break;
        }
        line.push_str(gap);
        line.push_str(hint);
    }
    line
}

fn draw_page(page: &Page, scroll: usize, area: Rect, buffer: &mut Buffer) {
    let inside = page_area(area);
    let frame = Rect {
        x: area.x,
        y: inside.y.saturating_sub(1).max(area.y),
        width: area.width,
        height: (inside.height + 1).min(area.height),
    };
    Clear.render(frame, buffer);
    heading(
        &format!("{}  (any other key closes)", page.title),
        true,
        frame,
        buffer,
    );
    let lines: Vec<Line<'_>> = page
        .lines
        .iter()
        .map(|(tint, text)| Line::from(span(*tint, text.clone())))
        .collect();
    let scroll = u16::try_from(scroll).unwrap_or(u16::MAX);
    Paragraph::new(lines)
        .wrap(Wrap { trim: false })
        .scroll((scroll, 0))
        .render(inside, buffer);
}

/// Where a page's text lies: everything but the head, its own heading, and the foot.
pub(super) fn page_area(area: Rect) -> Rect {
    let heads = heads(area) + 1;
    let margin = u16::from(area.width >= 60);
    Rect {
        x: area.x + margin,
        y: (area.y + heads).min(area.bottom()),
        width: area.width.saturating_sub(2 * margin),
        height: area.height.saturating_sub(heads + 1),
    }
}

/// Lines that tell how the run stands, above everything else.
fn heads(area: Rect) -> u16 {
    if area.height >= 12 { 2 } else { 1 }
}

/// The run in two lines: what it is and how it stands, and what it has spent.
fn head(board: &Board, width: usize) -> Vec<Line<'static>> {
    let status = &board.status;
    let moment = &board.moment;
    let mut first = Line::default();
    first.push_span(span(Tint::Bold, format!(" {} ", safe(&status.run))));
    first.push_span(span(run_tint(status.state), status.state));
    if status.mock {
        let marked = style(Tint::Notable).add_modifier(Modifier::REVERSED);
        first.push_span(span(Tint::None, " "));
        first.push_span(ratatui::text::Span::styled(" MOCK ", marked));
    }
    if !moment.follows {
        let text = format!(" event {} of {}; L follows", moment.seq, moment.last);
        first.push_span(span(Tint::Notable, text));
    }
    let needs = status.needs_you.len();
    if needs > 0 {
        first.push_span(span(Tint::Bad, format!("  needs you: {needs}")));
    }
    let age = status.started.map(|at| figure::ago(at, moment.now));
    let mut words = vec![board.best()];
    words.extend(age.map(|age| format!("{age} old")));
    if !status.supervisor.alive && status.state != "stopped" {
        words.push("no supervisor lives".to_owned());
    }
    if !status.reason.is_empty() {
        words.push(safe(&status.reason));
    }
    let left = width.saturating_sub(first.width() + 2);
    first.push_span(span(
        Tint::Dim,
        format!("  {}", cut(&words.join(" · "), left)),
    ));
    vec![first, spending(board)]
}

/// Spend against caps.
fn spending(board: &Board) -> Line<'static> {
    let budget = &board.status.budget;
    let usd = |value: f64| format!("${value:.2}");
    let part = |name: &str, what: Spending, write: &dyn Fn(f64) -> String| {
        let share = what
            .cap
            .filter(|cap| *cap > 0.0)
            .map(|cap| what.spent / cap);
        let of = match (what.cap, share) {
            (Some(cap), Some(share)) => format!(" of {} ({:.0}%)", write(cap), share * 100.0),
            _ => String::new(),
        };
        let tint = match share {
            Some(share) if share >= 0.95 => Tint::Bad,
            Some(share) if share >= 0.8 => Tint::Notable,
            _ => Tint::Dim,
        };
        span(tint, format!("{name}{}{of}   ", write(what.spent)))
    };
    Line::from(vec![
        span(Tint::None, " "),
        part("", budget.usd, &usd),
        part("GPU ", budget.gpu_seconds, &figure::span),
        part("wall ", budget.wall_seconds, &figure::span),
        part("disk ", budget.disk_bytes, &figure::bytes),
    ])
}

fn arrange(body: Rect, board: &Board, choice: &Choice) -> Plan {
    if body.width >= THREE && body.height >= TALL {
        return three(body, board);
    }
    if body.width >= TWO && body.height >= TALL {
        return two(body, board);
    }
    let mut plan = Plan::default();
    let mut rest = body;
    let mut shown = choice.focus;
    if body.height >= TALL {
        let strip = rows(board.strip(body.width.into()).len()).min(3);
        // Each panel has a line for its heading.
        let org = (rows(board.tree.len()) + 1).min(body.height / 2);
        plan.panels.push((Focus::Org, take(&mut rest, org)));
        plan.strip = Some(take(&mut rest, strip + 1));
        shown = choice.lower;
    }
    plan.tabs = Some(take(&mut rest, 1));
    plan.panels.push((shown, rest));
    plan
}

fn three(body: Rect, board: &Board) -> Plan {
    let wide = |share: u16| (u32::from(body.width) * u32::from(share) / 100) as u16;
    let [mut left, mut middle, mut right] = columns(body, [wide(38), wide(32)]);
    let mut plan = Plan::default();
    let strip = rows(board.strip(left.width.into()).len()).min(5) + 1;
    let needs = (rows(board.status.needs_you.len().max(1)) + 1).min(6);
    let org = (rows(board.tree.len()) + 1).min(left.height.saturating_sub(strip + needs));
    plan.panels.push((Focus::Org, take(&mut left, org)));
    plan.strip = Some(take(&mut left, strip));
    // What is left after needs is for the mail, where there is much of it.
    if left.height >= needs + 6 {
        plan.panels.push((Focus::Needs, take(&mut left, needs)));
        plan.panels.push((Focus::Mail, left));
    } else {
        plan.panels.push((Focus::Needs, left));
    }
    let curve = (middle.height / 2).min(20);
    let runs = middle.height - curve;
    plan.panels.push((Focus::Runs, take(&mut middle, runs)));
    plan.panels.push((Focus::Curve, middle));
    let both = plan.panels.iter().any(|(panel, _)| *panel == Focus::Mail);
    let claims = right.height / if both { 2 } else { 3 };
    plan.panels.push((Focus::Claims, take(&mut right, claims)));
    if !both {
        let mail = right.height / 2;
        plan.panels.push((Focus::Mail, take(&mut right, mail)));
    }
    plan.panels.push((Focus::News, right));
    plan
}

fn two(body: Rect, board: &Board) -> Plan {
    let [mut left, mut right, _] = columns(body, [body.width / 2, body.width / 2]);
    let mut plan = Plan::default();
    let strip = rows(board.strip(left.width.into()).len()).min(4) + 1;
    let needs = (rows(board.status.needs_you.len().max(1)) + 1).min(5);
    let org = (rows(board.tree.len()) + 1).min(left.height.saturating_sub(strip + needs + 3));
    plan.panels.push((Focus::Org, take(&mut left, org)));
    plan.strip = Some(take(&mut left, strip));
    plan.panels.push((Focus::Needs, take(&mut left, needs)));
    plan.panels.push((Focus::Runs, left));
    let part = right.height / 4;
    for panel in [Focus::Curve, Focus::Claims, Focus::Mail] {
        plan.panels.push((panel, take(&mut right, part)));
    }
    plan.panels.push((Focus::News, right));
    plan
}

/// Three columns with a free one between them; the last one takes what is left.
fn columns(body: Rect, widths: [u16; 2]) -> [Rect; 3] {
    let mut x = body.x;
    let [first, second] = widths.map(|width| {
        let column = Rect {
            x,
            width: width.saturating_sub(1).min(body.right() - x),
            ..body
        };
        x = (x + width).min(body.right());
        column
    });
    let third = Rect {
        x,
        width: body.right() - x,
        ..body
    };
    [first, second, third]
}

/// Cuts rows off the top of an area.
fn take(rest: &mut Rect, rows: u16) -> Rect {
    let rows = rows.min(rest.height);
    let taken = Rect {
        height: rows,
        ..*rest
    };
    rest.y += rows;
    rest.height -= rows;
    taken
}

fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX / 4)
}

fn heading(text: &str, chosen: bool, area: Rect, buffer: &mut Buffer) {
    let (mark, tint) = if chosen {
        ("▸ ", Tint::Bold)
    } else {
        ("─ ", Tint::Dim)
    };
    let text = cut(&format!("{mark}{text} "), area.width.into());
    let used = Line::from(text.as_str()).width();
    let rule = "─".repeat(usize::from(area.width).saturating_sub(used));
    let line = Line::from(vec![span(tint, text), span(Tint::Dim, rule)]);
    buffer.set_line(area.x, area.y, &line, area.width);
}

fn draw_panel(
    board: &Board,
    choice: &Choice,
    panel: Focus,
    area: Rect,
    titled: bool,
    buffer: &mut Buffer,
) {
    if area.height == 0 {
        return;
    }
    let chosen = choice.focus == panel;
    let mut inside = area;
    // Where there are tabs, the panel below them needs no name, but its numbers.
    if titled || area.height >= 3 || panel == Focus::Org {
        heading(&board.heading(panel), chosen, area, buffer);
        take(&mut inside, 1);
    }
    if panel == Focus::Curve {
        board.curve.draw(board.metric.1, inside, buffer);
        return;
    }
    let rows = board.rows(panel, inside.width.into());
    if rows.is_empty() {
        let text = match panel {
            Focus::Needs => "nothing waits for you",
            _ => "nothing yet",
        };
        let line = Line::from(span(Tint::Dim, text));
        if inside.height > 0 {
            buffer.set_line(inside.x, inside.y, &line, inside.width);
        }
        return;
    }
    let height = usize::from(inside.height);
    let at = choice.row(panel, rows.len());
    let from = at
        .saturating_sub(height / 2)
        .min(rows.len().saturating_sub(height));
    for (y, (number, row)) in (inside.y..inside.bottom()).zip(rows.iter().enumerate().skip(from)) {
        buffer.set_line(inside.x, y, &row.line, inside.width);
        if chosen && number == at {
            let line = Rect {
                y,
                height: 1,
                ..inside
            };
            buffer.set_style(line, Style::new().add_modifier(Modifier::REVERSED));
        }
    }
}

fn draw_strip(board: &Board, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    heading(&board.strip_heading(), false, area, buffer);
    for (y, line) in (area.y + 1..area.bottom()).zip(board.strip(area.width.into())) {
        buffer.set_line(area.x, y, &line, area.width);
    }
}

fn draw_tabs(choice: &Choice, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 {
        return;
    }
    let mut line = Line::default();
    let narrow = area.width < 60;
    for (number, panel) in (1..).zip(Focus::ALL) {
        let here = choice.focus == panel;
        let text = match (narrow, here) {
            (true, false) => format!("{number} "),
            _ => format!("{number} {} ", panel.word()),
        };
        let mut look = style(if here { Tint::Bold } else { Tint::Dim });
        if here {
            look = look.add_modifier(Modifier::REVERSED);
        }
        line.push_span(ratatui::text::Span::styled(text, look));
        line.push_span(span(Tint::None, " "));
    }
    buffer.set_line(area.x, area.y, &line, area.width);
}

/// The board as text, one panel below the other, for what is no screen.
#[must_use]
pub fn plain(board: &Board, width: usize) -> String {
    let mut text = String::new();
    let mut say = |line: &Line<'_>| {
        text.push_str(cut(line.to_string().trim_end(), width).as_str());
        text.push('\n');
    };
    for line in head(board, width) {
        say(&line);
    }
    for panel in Focus::ALL {
        say(&Line::from(format!("─ {}", board.heading(panel))));
        if panel == Focus::Curve {
            let area = Rect::new(0, 0, rows(width), rows(PLAIN_ROWS));
            let mut buffer = Buffer::empty(area);
            board.curve.draw(board.metric.1, area, &mut buffer);
            for y in 0..area.height {
                let cells = (0..area.width).filter_map(|x| buffer.cell((x, y)));
                let row: String = cells.map(ratatui::buffer::Cell::symbol).collect();
                say(&Line::from(row));
            }
            continue;
        }
        let all = board.rows(panel, width);
        for row in all.iter().take(PLAIN_ROWS) {
            say(&row.line);
        }
        if all.len() > PLAIN_ROWS {
            say(&Line::from(format!("… {} more", all.len() - PLAIN_ROWS)));
        }
        if panel == Focus::Org {
            say(&Line::from(format!("─ {}", board.strip_heading())));
            for line in board.strip(width) {
                say(&line);
            }
        }
    }
    text
}
