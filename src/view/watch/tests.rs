//! The dashboard at the sizes that people have, and what its keys mean.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::*;
use crate::domain::event::{Event, RunStatus};
use crate::domain::state::State;
use crate::run::gpu_use::GpuUse;
use crate::view::sample;
use crate::view::status::{self, Holder, Seen};

/// The sample run after its first `events` events, or all of them.
fn board(events: usize) -> Board {
    let (chart, log) = sample::events();
    let (mut state, mut history) = (State::default(), History::default());
    for event in log.iter().take(events) {
        state.apply(event).expect("folds");
        history.take(event);
    }
    let now = sample::start() + SignedDuration::from_secs(600);
    let holders = chart.agents.iter().map(|agent| {
        let holder = Holder::Process(Some(42));
        (agent.name.clone(), holder)
    });
    let seen = Seen {
        dir: "/runs/t-abcde".to_owned(),
        supervisor: true,
        agents: holders.collect(),
        disk_bytes: 3 << 20,
    };
    let mut looks = Looks::default();
    for run in state.experiments.values() {
        if run.status == RunStatus::Running {
            let progress = Some((30.0, 40.0));
            looks.runs.insert(run.id, Look { progress });
        }
    }
    for gpu in &state.gpus {
        let used = GpuUse {
            busy_percent: Some(87),
            used_mb: 61_000,
            total_mb: 81_559,
        };
        looks.gpus.insert(gpu.uuid.clone(), used);
    }
    let moment = Moment {
        seq: state.seq,
        last: log.len() as u64,
        now,
        follows: state.seq == log.len() as u64,
    };
    let status = status::of(&chart, &state, &seen, now);
    Board::of((&chart, &state), status, &history, &looks, moment)
}

fn all() -> Board {
    board(usize::MAX)
}

fn screen(board: &Board, choice: &Choice, columns: u16, rows: u16) -> String {
    let area = Rect::new(0, 0, columns, rows);
    let mut buffer = Buffer::empty(area);
    draw(board, choice, area, &mut buffer);
    let row = |y: u16| {
        let cells = (0..columns).filter_map(|x| buffer.cell((x, y)));
        let row: String = cells.map(ratatui::buffer::Cell::symbol).collect();
        row.trim_end().to_owned()
    };
    (0..rows).map(row).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_dashboard_at_the_sizes_that_people_have() {
    let board = all();
    let choice = Choice::new(&board);
    insta::assert_snapshot!("watch_40x10", screen(&board, &choice, 40, 10));
    insta::assert_snapshot!("watch_80x24", screen(&board, &choice, 80, 24));
    insta::assert_snapshot!("watch_120x40", screen(&board, &choice, 120, 40));
    insta::assert_snapshot!("watch_220x50", screen(&board, &choice, 220, 50));
    insta::assert_snapshot!("watch_plain", plain(&board, 80));
}

#[test]
fn no_size_breaks_it() {
    let board = all();
    let mut choice = Choice::new(&board);
    for columns in (0..40).chain([59, 60, 99, 100, 149, 150, 300]) {
        for rows in (0..20).chain([49, 90]) {
            choice.fit(Rect::new(0, 0, columns, rows));
            screen(&board, &choice, columns, rows);
            choice.show(Page::help());
            screen(&board, &choice, columns, rows);
            choice.press(Press::Escape, &board);
            choice.press(Press::Tab, &board);
        }
    }
}

#[test]
fn a_running_experiment_says_how_far_it_is_and_what_its_device_does() {
    let (_, events) = sample::events();
    let running = |event: &Event| {
        matches!(
            event.body,
            crate::domain::event::Kind::ExperimentStarted { .. }
        )
    };
    let at = events.iter().position(running).expect("one runs") + 1;
    let board = board(at);
    let mut choice = Choice::new(&board);
    choice.press(Press::Char('2'), &board);
    let shown = screen(&board, &choice, 120, 30);
    assert!(shown.contains("█████████░░░ 75%"), "{shown}");
    assert!(shown.contains("left"), "{shown}");
    assert!(shown.contains("0:e1 87% 60/80G"), "{shown}");
    assert!(shown.contains(&format!("event {at} of")), "{shown}");
}

#[test]
fn keys_choose_open_and_ask_twice_before_they_change_much() {
    let board = all();
    let mut choice = Choice::new(&board);
    let mut press = |key| choice.press(key, &board);
    assert_eq!(press(Press::Enter), Some(Wish::Jump("ana".to_owned())));
    assert_eq!(press(Press::Char('j')), None);
    let ben = Some("ben".to_owned());
    assert_eq!(press(Press::Char('p')), Some(Wish::Pause(ben)));
    assert_eq!(press(Press::Char('P')), None);
    assert_eq!(press(Press::Char('P')), Some(Wish::Pause(None)));
    assert_eq!(press(Press::Char('P')), None);
    assert_eq!(press(Press::Char('j')), None, "another key takes it back");
    assert_eq!(press(Press::Char('P')), None);
    press(Press::Char('3'));
    assert_eq!(press(Press::Enter), Some(Wish::Open(Target::Claim(2))));
    press(Press::Char('2'));
    assert_eq!(press(Press::Char('c')), None);
    let newest = Some(Wish::Cancel(Target::Run(7)));
    assert_eq!(press(Press::Char('c')), newest);
    press(Press::Char('n'));
    assert_eq!(press(Press::Enter), Some(Wish::Jump("ben".to_owned())));
    assert_eq!(press(Press::Char('a')), None);
    assert_eq!(press(Press::Char('a')), Some(Wish::Approve(0)));
    assert_eq!(press(Press::Char('[')), Some(Wish::Step(-1)));
    assert_eq!(press(Press::Char('q')), Some(Wish::Quit));
}

#[test]
fn a_page_tells_all_that_is_known_and_scrolls_to_its_end() {
    let (_, state) = sample::run();
    let board = all();
    let mut whole = BTreeMap::new();
    for target in [
        Target::Agent("ana".to_owned()),
        Target::Run(3),
        Target::Claim(1),
        Target::Mail(1),
        Target::Need(0, Some("ben".to_owned())),
    ] {
        let found = page((&board, &state), &target, |text| {
            Ok(text.head().to_owned() + "\u{1b}[2J")
        });
        let found = found.expect("no blob").expect("a page");
        let text: Vec<String> = found.lines.iter().map(|(_, line)| line.clone()).collect();
        assert!(!text.concat().contains('\u{1b}'), "{text:?}");
        whole.insert(found.title.clone(), text.join("\n"));
    }
    insta::assert_snapshot!(
        whole
            .iter()
            .map(|(title, text)| format!("== {title}\n{text}"))
            .collect::<Vec<_>>()
            .join("\n")
    );
    let mut choice = Choice::new(&board);
    choice.fit(Rect::new(0, 0, 60, 12));
    let lines = (0..100).map(|n| (crate::view::paint::Tint::None, format!("line {n}")));
    choice.show(Page {
        title: "long".to_owned(),
        lines: lines.collect(),
    });
    choice.press(Press::End, &board);
    assert!(screen(&board, &choice, 60, 12).contains("line 99"));
    choice.press(Press::Home, &board);
    choice.press(Press::PageDown, &board);
    assert!(screen(&board, &choice, 60, 12).contains("line 8"));
    choice.press(Press::Escape, &board);
    assert!(!screen(&board, &choice, 60, 12).contains("line"));
}
