//! What a person has chosen on the dashboard, and what the next key means.
//!
//! Owns the keys. A key changes the choice or is a wish, which is for the caller to grant. Must not
//! know how the choice is drawn.

use std::collections::BTreeMap;

use ratatui::layout::Rect;

use super::board::Board;
use super::columns::Target;
use super::draw::page_area;
use super::page::Page;

/// A panel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Focus {
    /// The agents.
    #[default]
    Org,
    /// Measured runs.
    Runs,
    /// Claims.
    Claims,
    /// The best so far.
    Curve,
    /// Messages.
    Mail,
    /// What happened.
    News,
    /// What waits for a person.
    Needs,
}

impl Focus {
    /// In the order of the Tab key.
    pub(super) const ALL: [Self; 7] = [
        Self::Org,
        Self::Runs,
        Self::Claims,
        Self::Curve,
        Self::Mail,
        Self::News,
        Self::Needs,
    ];

    /// In a word, for tabs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Runs => "runs",
            Self::Claims => "claims",
            Self::Curve => "curve",
            Self::Mail => "mail",
            Self::News => "news",
            Self::Needs => "needs",
        }
    }
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// A character.
    Char(char),
    /// Open what is chosen.
    Enter,
    /// Close, or nothing.
    Escape,
    /// The next panel.
    Tab,
    /// The panel before.
    BackTab,
    /// A row up.
    Up,
    /// A row down.
    Down,
    /// The panel before.
    Left,
    /// The next panel.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first row.
    Home,
    /// To the last row.
    End,
}

/// What a key asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// No more dashboard.
    Quit,
    /// Go to an agent's pane.
    Jump(String),
    /// Show what is known of something.
    Open(Target),
    /// Pause an agent that is not paused, and let one go on that is; all where there is no name.
    Pause(Option<String>),
    /// Say yes to what waits for a person.
    Approve(usize),
    /// Say no to it.
    Deny(usize),
    /// Call a measured run or a claim off.
    Cancel(Target),
    /// So many news forward, or back.
    Step(i64),
    /// Follow the log again.
    Follow,
}

/// What a person has chosen.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The panel that keys go to.
    pub focus: Focus,
    /// The lower panel where there is room for one beside the agents.
    pub(super) lower: Focus,
    /// The chosen row of each panel.
    pub(super) rows: BTreeMap<Focus, usize>,
    /// What lies over the panels.
    pub(super) page: Option<Page>,
    /// The first line of it that is shown.
    pub(super) scroll: usize,
    /// Said at the bottom until the next key.
    pub(super) said: Option<String>,
    /// A wish that is granted when the same key is pressed again.
    pub(super) asked: Option<Wish>,
    /// Columns and rows that a page has.
    pub(super) room: (usize, usize),
}

impl Choice {
    /// At the beginning: at what waits for a person, where anything does.
    #[must_use]
    pub fn new(board: &Board) -> Self {
        let lower = if board.status.needs_you.is_empty() {
            Focus::Runs
        } else {
            Focus::Needs
        };
        Self {
            lower,
            ..Self::default()
        }
    }

    /// The screen has this size now.
    pub fn fit(&mut self, area: Rect) {
        let inside = page_area(area);
        self.room = (inside.width.into(), inside.height.into());
    }

    /// Lays a page over the panels.
    pub fn show(&mut self, page: Page) {
        self.page = Some(page);
        self.scroll = 0;
    }

    /// Says something until the next key.
    pub fn say(&mut self, text: impl Into<String>) {
        self.said = Some(text.into());
    }

    /// The chosen row of a panel with `count` rows.
    pub(super) fn row(&self, panel: Focus, count: usize) -> usize {
        let row = self.rows.get(&panel).copied().unwrap_or(0);
        row.min(count.saturating_sub(1))
    }

    /// Takes a key in.
    pub fn press(&mut self, press: Press, board: &Board) -> Option<Wish> {
        self.said = None;
        let asked = self.asked.take();
        if let Some(page) = &self.page {
            let rows = page.height(self.room.0);
            return self.turn_page(press, rows);
        }
        match press {
            Press::Char('q') => return Some(Wish::Quit),
            Press::Char('?') => self.show(Page::help()),
            Press::Tab | Press::Right => self.move_focus(1),
            Press::BackTab | Press::Left => self.move_focus(Focus::ALL.len() - 1),
            Press::Char(key @ '1'..='7') => {
                let at = usize::from(key as u8 - b'1');
                self.focus_on(Focus::ALL[at]);
            }
            Press::Up | Press::Char('k') => self.move_row(board, -1),
            Press::Down | Press::Char('j') => self.move_row(board, 1),
            Press::PageUp => self.move_row(board, -10),
            Press::PageDown => self.move_row(board, 10),
            Press::Home => self.move_row(board, isize::MIN / 2),
            Press::End | Press::Char('G') => self.move_row(board, isize::MAX / 2),
            Press::Char('n') => self.focus_on(Focus::Needs),
            Press::Char('[') => return Some(Wish::Step(-1)),
            Press::Char(']') => return Some(Wish::Step(1)),
            Press::Char('{') => return Some(Wish::Step(-20)),
            Press::Char('}') => return Some(Wish::Step(20)),
            Press::Char('L') => return Some(Wish::Follow),
            other => return self.act(other, board, asked),
        }
        None
    }

    /// Keys that do something about what is chosen.
    fn act(&mut self, press: Press, board: &Board, asked: Option<Wish>) -> Option<Wish> {
        let target = self.target(board);
        let wish = match (press, target) {
            (Press::Enter, Target::Agent(name)) => return Some(Wish::Jump(name)),
            (Press::Enter, Target::Need(_, Some(name))) => return Some(Wish::Jump(name)),
            (Press::Enter | Press::Char('o'), Target::Nothing) => return None,
            (Press::Enter | Press::Char('o'), target) => return Some(Wish::Open(target)),
            (Press::Char('p'), Target::Agent(name)) => Wish::Pause(Some(name)),
            (Press::Char('p' | 'P'), _) => Wish::Pause(None),
            (Press::Char('a'), Target::Need(at, _)) => Wish::Approve(at),
            (Press::Char('d'), Target::Need(at, _)) => Wish::Deny(at),
            (Press::Char('c'), target @ (Target::Run(_) | Target::Claim(_))) => {
                Wish::Cancel(target)
            }
            (Press::Char('a' | 'd'), _) => {
                self.say("a and d answer what is chosen in `needs you`: n goes there");
                return None;
            }
            _ => return None,
        };
        self.confirmed(wish, asked)
    }

    /// What changes the run is asked for twice, but for a pause, which is undone by the same key.
    fn confirmed(&mut self, wish: Wish, asked: Option<Wish>) -> Option<Wish> {
        let question = match &wish {
            Wish::Pause(Some(_)) => return Some(wish),
            _ if asked.as_ref() == Some(&wish) => return Some(wish),
            Wish::Pause(None) => "P again to pause all agents, or to let all go on".to_owned(),
            Wish::Approve(_) => "a again to approve what is chosen".to_owned(),
            Wish::Deny(_) => "d again to deny what is chosen".to_owned(),
            Wish::Cancel(Target::Claim(id)) => format!("c again to call h{id} off, with its runs"),
            Wish::Cancel(Target::Run(id)) => format!("c again to call e{id} off"),
            _ => return Some(wish),
        };
        self.say(question);
        self.asked = Some(wish);
        None
    }

    /// What is chosen.
    fn target(&self, board: &Board) -> Target {
        let rows = board.rows(self.focus, 80);
        let at = self.row(self.focus, rows.len());
        rows.into_iter()
            .nth(at)
            .map(|row| row.target)
            .unwrap_or_default()
    }

    fn turn_page(&mut self, press: Press, rows: usize) -> Option<Wish> {
        let room = self.room.1.max(1);
        let most = rows.saturating_sub(room);
        let to = |by: isize| self.scroll.min(most).saturating_add_signed(by).min(most);
        match press {
            Press::Up | Press::Char('k') => self.scroll = to(-1),
            Press::Down | Press::Char('j') => self.scroll = to(1),
            Press::PageUp => self.scroll = to(-(room as isize)),
            Press::PageDown | Press::Char(' ') => self.scroll = to(room as isize),
            Press::Home => self.scroll = 0,
            Press::End | Press::Char('G') => self.scroll = most,
            _ => self.page = None,
        }
        None
    }

    fn move_focus(&mut self, by: usize) {
        let at = Focus::ALL.iter().position(|focus| *focus == self.focus);
        let to = (at.unwrap_or(0) + by) % Focus::ALL.len();
        self.focus_on(Focus::ALL[to]);
    }

    fn focus_on(&mut self, focus: Focus) {
        self.focus = focus;
        if focus != Focus::Org {
            self.lower = focus;
        }
    }

    fn move_row(&mut self, board: &Board, by: isize) {
        let count = board.rows(self.focus, 80).len();
        let row = self.row(self.focus, count);
        let to = row.saturating_add_signed(by).min(count.saturating_sub(1));
        self.rows.insert(self.focus, to);
    }
}
