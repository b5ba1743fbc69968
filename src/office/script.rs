//! The office as a tmux script: our whole configuration, every window, split, title and program, in
//! one text for one `source-file -`. Pure; must not run anything.
//!
//! Why a script and not one call per command: eight panes take 50 ms instead of 390, and a command
//! line is capped near 16 KB and loses a `;` at an argument's end, while a script has neither
//! defect. Panes are first built empty and get their programs afterwards, so that no program is
//! resized while the grid is being cut.

use tmux_interface::{
    BindKey, NewSession, NewWindow, RespawnPane, SelectPane, SelectWindow, SetHook, SplitWindow,
    TmuxCommand, commands::PaneSize,
};

use crate::os::process::MARK;

use super::grid::{Page, Split};
use super::plan::{Mark, Plan, Seat, Tint};

/// Options of the server and of all sessions, windows and panes. Kept are tmux's own prefix and
/// keys: this is somebody's daily tool.
const OPTIONS: &[(&str, &str)] = &[
    ("default-shell", "/bin/sh"),
    ("default-terminal", "screen-256color"),
    ("escape-time", "10"),
    ("exit-empty", "on"),
    ("update-environment", ""),
    ("window-size", "latest"),
    ("mouse", "on"),
    ("allow-rename", "off"),
    ("automatic-rename", "off"),
    ("renumber-windows", "off"),
    ("remain-on-exit", "on"),
    ("pane-border-status", "top"),
    ("status-left-length", "48"),
    ("status-right-length", "64"),
    ("status-style", "bg=colour236,fg=colour252"),
    ("window-status-format", " #W "),
    (
        "window-status-current-format",
        "#[bold,fg=colour255,bg=colour240] #W #[default]",
    ),
    ("window-status-separator", ""),
    ("status-left", STATUS_LEFT),
    ("status-right", STATUS_RIGHT),
    ("display-time", "3000"),
];

const STATUS_LEFT: &str =
    "#[bold] #{session_name} #[default]#{?@org_mock,#[fg=black#,bg=yellow] MOCK #[default] ,}";

/// The hint gives way first when the terminal is narrow.
const STATUS_RIGHT: &str = "#{?@org_needs,#[fg=black#,bg=colour214] needs you: #{@org_needs} \
    #[default] ,}#{?#{e|>=|:#{client_width},100},C-b: z zoom  h hq  g grid  d detach ,}";

/// Run when a window has changed its size: tmux spreads a change of size over the cells so that
/// errors add up, and this puts every cell back to its share. The whole computation is tmux's own
/// format language, so no process is started; a zoomed pane stays zoomed.
const KEEP_GRID: &str = concat!(
    "run-shell -C \"#{?window_zoomed_flag,resize-pane -Z ; ,}#{P:",
    "#{?@org_cols,resize-pane -t #{pane_id} -x #{e|-|:",
    "#{e|/|:#{e|*|:#{e|+|:#{@org_col},1},#{e|-|:#{window_width},#{e|-|:#{@org_cols},1}}},",
    "#{@org_cols}},",
    "#{e|/|:#{e|*|:#{@org_col},#{e|-|:#{window_width},#{e|-|:#{@org_cols},1}}},#{@org_cols}}} ; ,}",
    "#{?@org_rows,resize-pane -t #{pane_id} -y #{e|-|:",
    "#{e|/|:#{e|*|:#{e|+|:#{@org_row},1},#{e|-|:#{window_height},#{@org_rows}}},#{@org_rows}},",
    "#{e|/|:#{e|*|:#{@org_row},#{e|-|:#{window_height},#{@org_rows}}},#{@org_rows}}} ; ,}",
    "}#{?window_zoomed_flag,resize-pane -Z ; ,}\"",
);

/// As many of a title's parts as fit behind name and state, with a space before them: half a word on a
/// border looks like a fault. The 9 are the border's ends and the spaces between.
const TITLE: &str = concat!(
    "#{?#{e|<=|:#{e|+|:#{n:@org_title},#{e|+|:#{n:@org_seat},#{n:@org_state}}},",
    "#{e|-|:#{pane_width},9}}, #[dim]#{@org_title}#[nodim],",
    "#{?#{e|<=|:#{e|+|:#{n;s/ · [^ ]*$//:@org_title},#{e|+|:#{n:@org_seat},#{n:@org_state}}},",
    "#{e|-|:#{pane_width},9}}, #[dim]#{s/ · [^ ]*$//:@org_title}#[nodim],",
    "#{?#{e|<=|:#{e|+|:#{n;s/ · .*//:@org_title},#{e|+|:#{n:@org_seat},#{n:@org_state}}},",
    "#{e|-|:#{pane_width},9}}, #[dim]#{s/ · .*//:@org_title}#[nodim],}}}",
);

/// Whether the state's word fits behind the name; the pane's own status row begins with it.
const STATE_FITS: &str = "#{e|<=|:#{e|+|:#{n:@org_seat},#{n:@org_state}},#{e|-|:#{pane_width},7}}";

/// What happens to panes and windows that the office should hear of.
const BELLS: &[&str] = &[
    "pane-died",
    "pane-exited",
    "after-kill-pane",
    "window-unlinked",
];

/// How `list-panes` is asked, so that [`super::server`] can read the answer.
pub(crate) const PANE_FORMAT: &str = "#{pane_id}\t#{pane_dead}\t#{pane_dead_status}\t#{pane_dead_signal}\t#{window_name}\t#{pane_index}\t#{window_width}\t#{window_height}\t#{pane_pid}\t#{@org_seat}";

/// A growing script.
#[derive(Default)]
pub(crate) struct Script {
    text: String,
}

impl Script {
    /// The script so far, one command a line.
    pub(crate) fn text(self) -> String {
        self.text
    }

    /// Adds a command, every word quoted.
    pub(crate) fn push(&mut self, command: &TmuxCommand<'_>) {
        let words: Vec<String> = command.to_vec().iter().map(|word| quoted(word)).collect();
        self.text.push_str(&words.join(" "));
        self.text.push('\n');
    }

    fn set(&mut self, scope: &[&str], name: &str, value: &str) {
        let mut command = TmuxCommand::with_name("set-option");
        for word in scope {
            command.push_param((*word).to_owned());
        }
        // The builder of `set-option` has no `--`, without which a value like `-x` is an option.
        command.push_flag("--").push_param(name).push_param(value);
        self.push(&command);
    }

    /// Our configuration.
    fn configure(&mut self, plan: &Plan) {
        // The mark is tmux's own: what a person starts from a pane outlives the office.
        let mut unmark = TmuxCommand::with_name("set-environment");
        unmark.push_param("-gu").push_param(MARK);
        self.push(&unmark);
        for (name, value) in OPTIONS {
            self.set(&["-g"], name, value);
        }
        self.set(&["-g"], "history-limit", &plan.history.to_string());
        self.set(&["-g"], "@org_mock", if plan.mock { "1" } else { "" });
        self.set(&["-g"], "pane-border-format", &border_text(&plan.tints));
        let line = border_line(&plan.tints);
        self.set(&["-g"], "pane-border-style", &line);
        self.set(&["-g"], "pane-active-border-style", &format!("{line},bold"));
        // Unknown before tmux 3.3: `-q` makes that silent.
        let ended = "ended (#{?pane_dead_signal,signal #{pane_dead_signal},\
                     exit #{pane_dead_status}}); it comes back by itself, C-b R at once";
        self.set(&["-gq"], "remain-on-exit-format", ended);
        self.push(
            &SetHook::new()
                .global()
                .hook_name("window-resized")
                .command(KEEP_GRID)
                .build(),
        );
        // Without `-k`: refuses a pane whose program lives.
        let mut back = "respawn-pane".to_owned();
        if let Some(bell) = &plan.bell {
            // Added to, so that no two rings look like one, however close they are.
            let ring = format!("echo >> {}", quoted(&bell.display().to_string()));
            let ring = format!("run-shell -b {}", doubled(&ring));
            for hook in BELLS {
                self.push(
                    &SetHook::new()
                        .global()
                        .hook_name(*hook)
                        .command(ring.as_str())
                        .build(),
                );
            }
            back = format!("{back} ; {ring}");
        }
        for (key, action) in [
            ("h", "select-window -t :=hq"),
            ("g", "select-window -t :=office"),
            ("R", back.as_str()),
        ] {
            self.push(&BindKey::new().key(key).command(action).build());
        }
    }

    /// Puts the seat's program into a pane, whatever runs there.
    pub(crate) fn seat(&mut self, pane: &str, seat: &Seat) {
        let mut command = RespawnPane::new()
            .kill()
            .target_pane(pane.to_owned())
            .build();
        // The builder keeps one environment value only.
        for (key, value) in &seat.env {
            command.push_option("-e", format!("{key}={value}"));
        }
        command.push_flag("--");
        match seat.argv.as_slice() {
            // tmux hands a lone word to a shell.
            [word] => {
                command.push_param(format!("exec {}", quoted(word)));
            }
            words => {
                for word in words {
                    command.push_param(word.clone());
                }
            }
        }
        self.push(&command);
    }

    /// Changes what is shown about a pane or the office.
    pub(crate) fn mark(&mut self, mark: &Mark) {
        match mark {
            Mark::Title { pane, text } => {
                self.set(&["-p", "-t", pane], "@org_title", &plain(text));
                self.title(pane, &plain(text));
            }
            Mark::State { pane, word } => {
                self.set(&["-p", "-t", pane], "@org_state", &word_of(word));
            }
            Mark::Needs(0) => self.set(&["-g"], "@org_needs", ""),
            Mark::Needs(count) => self.set(&["-g"], "@org_needs", &count.to_string()),
        }
    }

    /// tmux's own title, for people's tools that list panes. The border does not show it, because
    /// a program in the pane can change it.
    fn title(&mut self, pane: &str, text: &str) {
        // `-T` expands formats, of which `#(…)` runs a command.
        let text = text.replace('#', "##");
        let select = SelectPane::new().target_pane(pane.to_owned()).title(text);
        self.push(&select.build());
    }

    /// Cuts a window's first pane (`first`) into the page's cells and names them; answers the pane
    /// ids in reading order.
    fn cut(&mut self, page: &Page, seats: &[Seat], first: usize, size: (u16, u16)) -> Vec<String> {
        for Split {
            from,
            side_by_side,
            size,
        } in page.splits(size.0, size.1)
        {
            let size = PaneSize::Size(usize::from(size));
            let split = SplitWindow::new()
                .target_pane(pane_id(first + from))
                .size(&size);
            let split = if side_by_side {
                split.horizontal()
            } else {
                split.vertical()
            };
            self.push(&split.shell_command("").build());
        }
        let mut ids = Vec::new();
        for ((cell, column, row), seat) in page.reading_order().into_iter().zip(seats) {
            let pane = pane_id(first + cell);
            self.cell_options(&pane, seat, page, (column, row));
            ids.push(pane);
        }
        ids
    }

    /// Names the pane that sits in the page's `place`-th cell.
    pub(crate) fn name_cell(&mut self, pane: &str, seat: &Seat, page: &Page, place: usize) {
        if let Some((_, column, row)) = page.reading_order().get(place) {
            self.cell_options(pane, seat, page, (*column, *row));
        }
    }

    fn cell_options(&mut self, pane: &str, seat: &Seat, page: &Page, (column, row): (u16, u16)) {
        let here = ["-p", "-t", pane];
        self.set(&here, "@org_seat", &plain(&seat.name));
        self.set(&here, "@org_title", &plain(&seat.title));
        self.title(pane, &plain(&seat.name));
        let columns = page.rows[usize::from(row)];
        // The last cell of a row and the last row take what the others leave.
        if column + 1 < columns {
            self.set(&here, "@org_col", &column.to_string());
            self.set(&here, "@org_cols", &columns.to_string());
        }
        if column == 0 && usize::from(row) + 1 < page.rows.len() {
            self.set(&here, "@org_row", &row.to_string());
            self.set(&here, "@org_rows", &page.rows.len().to_string());
        }
    }
}

/// The script that builds `plan` on an empty server.
pub(crate) fn build(plan: &Plan) -> Script {
    let grid = Page::spill(plan.pages.len(), plan.grid);
    let hq = Page::spill(plan.hq.len(), None);
    let size = grid
        .iter()
        .chain(&hq)
        .map(Page::least)
        .fold(plan.size, |size, least| {
            (size.0.max(least.0), size.1.max(least.1))
        });
    let mut script = Script::default();
    script.configure(plan);
    let mut made = 0;
    let mut seated = Vec::new();
    for (name, pages, mut seats) in [("office", grid, &plan.pages[..]), ("hq", hq, &plan.hq[..])] {
        for (number, page) in (1..).zip(&pages) {
            let window = if number == 1 {
                name.to_owned()
            } else {
                format!("{name}-{number}")
            };
            script.push(&window_command(plan, made, window, size));
            let (here, rest) = seats.split_at(page.cells());
            let ids = script.cut(page, here, made, size);
            script.push(&SelectPane::new().target_pane(pane_id(made)).build());
            seated.extend(ids.into_iter().zip(here));
            made += page.cells();
            seats = rest;
        }
    }
    script.push(&SelectWindow::new().target_window(pane_id(0)).build());
    for (pane, seat) in seated {
        script.seat(&pane, seat);
    }
    script
}

/// A window with one empty pane; the first one makes the session, which tmux then calls `$0`.
pub(crate) fn window_command(
    plan: &Plan,
    made: usize,
    name: String,
    size: (u16, u16),
) -> TmuxCommand<'_> {
    if made > 0 {
        let window = NewWindow::new()
            .detached()
            .window_name(name)
            .target_window("$0:");
        return window.shell_command("").build();
    }
    NewSession::new()
        .detached()
        .session_name(word_of(&plan.session))
        .window_name(name)
        .width(usize::from(size.0))
        .height(usize::from(size.1))
        .shell_command("")
        .build()
}

/// On a server that made no pane before, ids count from 0 in the order of making.
fn pane_id(made: usize) -> String {
    format!("%{made}")
}

/// A format that picks by state: the tint's style, or `other`.
fn by_state(tints: &[Tint], style: impl Fn(&Tint) -> String, other: &str) -> String {
    let mut format = String::new();
    for tint in tints {
        let word = word_of(&tint.word);
        let test = format!("#{{?#{{==:#{{@org_state}},{word}}},{},", style(tint));
        format.push_str(&test);
    }
    format + other + &"}".repeat(tints.len())
}

/// The text on a border: name and state first, since narrow panes cut the rest off.
fn border_text(tints: &[Tint]) -> String {
    let style = by_state(tints, |tint| format!("#[fg={}]", word_of(&tint.colour)), "");
    format!(
        " #{{?@org_seat,#[bold]#{{@org_seat}}#[nobold]#{{?#{{&&:#{{@org_state}},{STATE_FITS}}}, \
         {style}#{{@org_state}}#[fg=default],}}#{{?pane_dead, #[fg=red]DEAD#[fg=default],}}\
         #{{?@org_title,{TITLE},}},#{{pane_current_command}}}} "
    )
}

/// The border's line.
fn border_line(tints: &[Tint]) -> String {
    let colour = by_state(
        tints,
        |tint| format!("fg={}", word_of(&tint.colour)),
        "fg=colour244",
    );
    format!("#{{?pane_dead,fg=red,{colour}}}")
}

/// One line without control characters and without tmux's inline styles.
fn plain(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.replace("#[", "# [")
}

/// Letters, digits, `-` and `_`: what cannot end or nest a format, nor address another target.
fn word_of(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

/// A word of a tmux script, or of a shell's: both know single quotes without escapes.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\"'\"'"))
}

/// A word of a command within a command: in double quotes, without formats.
fn doubled(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' | '$' => text.extend(['\\', c]),
            '#' => text.push_str("##"),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_cannot_leave_their_place() {
        assert_eq!(quoted("it's"), "'it'\"'\"'s'");
        assert_eq!(word_of("a:b.c}#x"), "a_b_c__x");
        assert_eq!(plain("a\u{1b}b\n#[fg=red]"), "a b # [fg=red]");
    }
}
