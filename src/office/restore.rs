//! What brings missing seats back: the windows and panes that a person has closed, each where it was.
//!
//! Owns the order of the commands. Panes that live are not touched, and those that a person opened
//! stay. Panes are addressed by their place in the window, since the ids of new ones are not known.
//! Pure, like [`super::script`].

use tmux_interface::{SelectLayout, SplitWindow};

use super::grid::Page;
use super::plan::{PaneSeen, Plan, Seat};
use super::script::{Script, window_command};

/// A window as it should be.
struct Window<'a> {
    name: String,
    page: Page,
    seats: &'a [Seat],
}

/// The script that seats again who is missing; none where nobody is.
pub(crate) fn script(plan: &Plan, seen: &[PaneSeen]) -> Option<Script> {
    let mut script = Script::default();
    let mut any = false;
    for window in windows(plan) {
        any |= mend(&mut script, plan, &window, seen);
    }
    any.then_some(script)
}

fn windows(plan: &Plan) -> Vec<Window<'_>> {
    let mut windows = Vec::new();
    let grid = Page::spill(plan.pages.len(), plan.grid);
    let hq = Page::spill(plan.hq.len(), None);
    for (name, pages, mut seats) in [("office", grid, &plan.pages[..]), ("hq", hq, &plan.hq[..])] {
        for (number, page) in (1..).zip(pages) {
            let (here, rest) = seats.split_at(page.cells());
            seats = rest;
            let name = if number == 1 {
                name.to_owned()
            } else {
                format!("{name}-{number}")
            };
            windows.push(Window {
                name,
                page,
                seats: here,
            });
        }
    }
    windows
}

/// Mends one window; says whether there was anything to mend.
fn mend(script: &mut Script, plan: &Plan, window: &Window<'_>, seen: &[PaneSeen]) -> bool {
    let mut there: Vec<&PaneSeen> = seen
        .iter()
        .filter(|pane| pane.window == window.name)
        .collect();
    there.sort_by_key(|pane| pane.index);
    let has = |seat: &Seat| seen.iter().any(|pane| pane.seat == seat.name);
    if window.seats.iter().all(has) {
        return false;
    }
    let foreign = there.iter().any(|pane| pane.seat.is_empty());
    let size = there
        .first()
        .copied()
        .or(seen.first())
        .map_or(plan.size, |pane| pane.size);
    let mut order: Vec<String> = there.iter().map(|pane| pane.seat.clone()).collect();
    let target = |index: usize| format!("$0:={}.{index}", window.name);
    let mut back = Vec::new();
    for (place, seat) in window.seats.iter().enumerate() {
        if has(seat) {
            continue;
        }
        if order.is_empty() {
            script.push(&window_command(plan, 1, window.name.clone(), size));
            order.push(seat.name.clone());
        } else {
            // After the seat before it that is there; where none is, before the first pane.
            let before = window.seats[..place].iter().rev();
            let after = before
                .filter_map(|seat| order.iter().position(|name| *name == seat.name))
                .next();
            even(script, &window.name);
            let split = SplitWindow::new()
                .detached()
                .target_pane(target(after.unwrap_or(0)));
            let split = if after.is_none() {
                split.before()
            } else {
                split
            };
            script.push(&split.shell_command("").build());
            order.insert(after.map_or(0, |at| at + 1), seat.name.clone());
        }
        back.push(seat);
    }
    if foreign {
        even(script, &window.name);
    } else {
        let layout = window.page.layout(size.0, size.1);
        let whole = format!("$0:={}", window.name);
        script.push(
            &SelectLayout::new()
                .target_pane(whole)
                .layout_name(layout)
                .build(),
        );
    }
    for seat in back {
        if let Some(index) = order.iter().position(|name| *name == seat.name) {
            let place = window
                .seats
                .iter()
                .position(|other| other.name == seat.name);
            script.name_cell(&target(index), seat, &window.page, place.unwrap_or(0));
            script.seat(&target(index), seat);
        }
    }
    true
}

/// Makes room for one more pane.
fn even(script: &mut Script, window: &str) {
    let whole = format!("$0:={window}");
    script.push(
        &SelectLayout::new()
            .target_pane(whole)
            .layout_name("tiled")
            .build(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(name: &str) -> Seat {
        Seat {
            name: name.to_owned(),
            argv: vec!["org".to_owned(), "pane".to_owned(), name.to_owned()],
            env: Vec::new(),
            title: String::new(),
        }
    }

    #[test]
    fn who_is_missing_is_seated_at_the_old_place_and_nobody_else_is_touched() {
        let plan = Plan {
            session: "t".to_owned(),
            mock: false,
            grid: Some((2, 2)),
            size: (100, 30),
            pages: ["a", "b", "c", "d"].map(seat).into(),
            hq: vec![seat("feed")],
            history: 100,
            tints: Vec::new(),
            bell: None,
        };
        let seen = |window: &str, index: u32, seat: &str| PaneSeen {
            id: format!("%{index}"),
            seat: seat.to_owned(),
            pid: 1,
            ended: None,
            window: window.to_owned(),
            index,
            size: (100, 30),
        };
        let all = [
            seen("office", 0, "a"),
            seen("office", 1, "b"),
            seen("office", 2, "c"),
            seen("office", 3, "d"),
            seen("hq", 0, "feed"),
        ];
        assert!(script(&plan, &all).is_none());
        let some = [
            seen("office", 0, "a"),
            seen("office", 1, "c"),
            seen("hq", 0, "feed"),
        ];
        let text = script(&plan, &some).expect("two are missing").text();
        let words = text.replace('\'', "");
        for command in [
            "splitw -d -t $0:=office.0",
            "splitw -d -t $0:=office.2",
            "-t $0:=office.1 -- @org_seat b",
            "-t $0:=office.3 -- org pane d",
        ] {
            assert!(words.contains(command), "{command} in {words}");
        }
        assert!(
            !words.contains("org pane a") && !words.contains("hq"),
            "{words}"
        );
        let text = script(&plan, &all[..4]).expect("hq is missing").text();
        assert!(text.contains("neww") && text.contains("feed"), "{text}");
        assert!(!text.contains("office."), "{text}");
    }
}
