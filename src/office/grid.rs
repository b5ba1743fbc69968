//! The geometry of a page: which seat sits in which cell, and the sized splits that make every cell
//! of a row equally wide and every row equally high, within one column or line. Pure arithmetic;
//! must not know tmux's command line.
//!
//! tmux's own `tiled` layout is not used: it gives eight panes 3x3 cells, the last one double.

/// A detached cell is at least this wide and high: below it tmux may refuse a split.
const MIN_CELL: (u16, u16) = (20, 6);

/// Seats on a page when the plan asks for no grid: more than nine cells are unreadable on a usual
/// screen.
const MAX_TILED: usize = 9;

/// Rows of a page, each with its number of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// Cells in each row, from the top; no row is empty.
    pub(crate) rows: Vec<u16>,
}

/// A split of an existing cell, in the order in which they must be made. Cells are counted in the
/// order of their making, the page's first cell being 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Split {
    /// The cell that is divided.
    pub(crate) from: usize,
    /// Side by side (a new column) or one below the other (a new row).
    pub(crate) side_by_side: bool,
    /// Columns or lines of the new cell.
    pub(crate) size: u16,
}

impl Page {
    /// Pages for `seats` seats: all but the last are full.
    pub(crate) fn spill(seats: usize, grid: Option<(u16, u16)>) -> Vec<Self> {
        let (columns, capacity) = match grid {
            Some((c, r)) => (
                usize::from(c.max(1)),
                usize::from(c.max(1)) * usize::from(r.max(1)),
            ),
            None => (0, MAX_TILED),
        };
        let mut pages = Vec::new();
        let mut left = seats;
        while left > 0 {
            let here = left.min(capacity);
            let columns = if grid.is_some() {
                columns
            } else {
                near_square(here)
            };
            pages.push(Self::of(here, columns));
            left -= here;
        }
        pages
    }

    /// `seats` cells in rows of at most `columns`; a short last row has wider cells, so that no
    /// place is empty.
    fn of(seats: usize, columns: usize) -> Self {
        let mut rows = vec![to_u16(columns); seats / columns];
        if !seats.is_multiple_of(columns) {
            rows.push(to_u16(seats % columns));
        }
        Self { rows }
    }

    /// The number of cells.
    pub(crate) fn cells(&self) -> usize {
        self.rows.iter().map(|&n| usize::from(n)).sum()
    }

    /// The smallest window in which every split succeeds.
    pub(crate) fn least(&self) -> (u16, u16) {
        let widest = self.rows.iter().copied().max().unwrap_or(1);
        (
            widest.saturating_mul(MIN_CELL.0),
            to_u16(self.rows.len()).saturating_mul(MIN_CELL.1),
        )
    }

    /// The splits that make this page out of one cell of `width` x `height`: first the rows, then
    /// the columns of each.
    pub(crate) fn splits(&self, width: u16, height: u16) -> Vec<Split> {
        let count = to_u16(self.rows.len());
        // Every row has a line for its border, the first one too (`pane-border-status top`).
        let lines = height.saturating_sub(count);
        let mut splits = Vec::new();
        for row in 1..count {
            let below: u16 = (row..count).map(|r| share(lines, count, r)).sum();
            let size = below + (count - row - 1);
            splits.push(Split {
                from: usize::from(row - 1),
                side_by_side: false,
                size,
            });
        }
        let mut made = self.rows.len();
        for (row, &cells) in self.rows.iter().enumerate() {
            let columns = width.saturating_sub(cells - 1);
            let mut from = row;
            for cell in 1..cells {
                let right: u16 = (cell..cells).map(|c| share(columns, cells, c)).sum();
                let size = right + (cells - cell - 1);
                splits.push(Split {
                    from,
                    side_by_side: true,
                    size,
                });
                from = made;
                made += 1;
            }
        }
        splits
    }

    /// The same cells as tmux writes a layout down, for a window whose panes are in reading order.
    pub(crate) fn layout(&self, width: u16, height: u16) -> String {
        let count = to_u16(self.rows.len());
        let lines = height.saturating_sub(count);
        let mut rows = Vec::new();
        let mut y = 0;
        for (row, &cells) in (0..).zip(&self.rows) {
            // The first row's border has no line of its own in the layout.
            let high = share(lines, count, row) + u16::from(row == 0);
            let columns = width.saturating_sub(cells - 1);
            let mut x = 0;
            let mut leaves = Vec::new();
            for cell in 0..cells {
                let wide = share(columns, cells, cell);
                leaves.push(format!("{wide}x{high},{x},{y},0"));
                x += wide + 1;
            }
            rows.push(match leaves.as_slice() {
                [one] => one.clone(),
                many => format!("{width}x{high},0,{y}{{{}}}", many.join(",")),
            });
            y += high + 1;
        }
        let text = match rows.as_slice() {
            [one] => one.clone(),
            many => format!("{width}x{height},0,0[{}]", many.join(",")),
        };
        let sum = text.bytes().fold(0_u16, |sum, byte| {
            sum.rotate_right(1).wrapping_add(u16::from(byte))
        });
        format!("{sum:04x},{text}")
    }

    /// For each cell in reading order: its number in the order of making, its column and row.
    pub(crate) fn reading_order(&self) -> Vec<(usize, u16, u16)> {
        let mut order = Vec::new();
        let mut made = self.rows.len();
        for (row, &cells) in self.rows.iter().enumerate() {
            for column in 0..cells {
                let cell = if column == 0 {
                    row
                } else {
                    made += 1;
                    made - 1
                };
                order.push((cell, column, to_u16(row)));
            }
        }
        order
    }
}

/// The `index`-th of `parts` nearly equal parts of `total`; the parts add up to it.
fn share(total: u16, parts: u16, index: u16) -> u16 {
    let (total, parts, index) = (u32::from(total), u32::from(parts), u32::from(index));
    let edge = |i: u32| i * total / parts;
    u16::try_from(edge(index + 1) - edge(index)).expect("a part is not larger than its u16 whole")
}

/// The smallest number of columns for which `n` cells need no more rows than columns.
fn near_square(n: usize) -> usize {
    (1..).find(|c| c * c >= n).expect("squares grow past any n")
}

fn to_u16(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(seats: usize, grid: Option<(u16, u16)>) -> Vec<Vec<u16>> {
        Page::spill(seats, grid)
            .into_iter()
            .map(|p| p.rows)
            .collect()
    }

    #[test]
    fn seats_spill_over_pages() {
        assert_eq!(rows(8, Some((4, 2))), [vec![4, 4]]);
        assert_eq!(rows(9, Some((4, 2))), [vec![4, 4], vec![1]]);
        assert_eq!(rows(14, Some((4, 2))), [vec![4, 4], vec![4, 2]]);
        assert_eq!(rows(2, Some((4, 2))), [vec![2]]);
        assert_eq!(rows(0, Some((4, 2))), Vec::<Vec<u16>>::new());
        assert_eq!(rows(3, None), [vec![2, 1]]);
        assert_eq!(rows(11, None), [vec![3, 3, 3], vec![2]]);
    }

    #[test]
    fn shares_add_up_and_differ_by_one() {
        for total in 0..200 {
            for parts in 1..9 {
                let all: Vec<u16> = (0..parts).map(|i| share(total, parts, i)).collect();
                assert_eq!(all.iter().sum::<u16>(), total);
                let (low, high) = (all.iter().min(), all.iter().max());
                assert!(high.zip(low).is_some_and(|(h, l)| h - l <= 1), "{all:?}");
            }
        }
    }

    #[test]
    fn a_layout_fills_its_window() {
        let page = Page { rows: vec![2, 1] };
        assert_eq!(
            page.layout(81, 24),
            "e77e,81x24,0,0[81x12,0,0{40x12,0,0,0,40x12,41,0,0},81x11,0,13,0]"
        );
        assert_eq!(Page { rows: vec![1] }.layout(80, 24), "b25d,80x24,0,0,0");
    }

    #[test]
    fn cells_are_read_by_rows_whatever_the_order_of_making() {
        let page = Page { rows: vec![3, 2] };
        assert_eq!(
            page.reading_order(),
            [(0, 0, 0), (2, 1, 0), (3, 2, 0), (1, 0, 1), (4, 1, 1)]
        );
        assert_eq!(page.splits(220, 50).len() + 1, page.cells());
    }
}
