//! Tools against a real run directory.

use super::*;

pub(super) fn chart() -> Chart {
    todo!()
}
