//! `org schema`: the JSON Schema of charts.

use clap::Args;

use super::Context;
use super::failure::Failure;
use crate::domain::schema;

/// Print the JSON Schema of org charts, for editors
#[derive(Debug, Clone, Args)]
pub(super) struct SchemaArgs {}

pub(super) fn run(context: &Context, _: &SchemaArgs) -> Result<(), Failure> {
    context.ui.json(&schema::schema())
}
