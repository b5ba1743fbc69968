//! `org ledger --verify`: whether the hash chain holds, and where not.

use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::ui::Ui;
use crate::run::chain::Chain;
use crate::run::log::{self, Log};
use crate::run::paths::RunDir;

/// What was found, as `--json` prints it.
#[derive(Debug, Serialize)]
struct Found<'a> {
    whole: bool,
    linked: u64,
    unlinked: u64,
    head: Option<&'a str>,
    broken: Option<Broken<'a>>,
    /// Whether a hash that was noted earlier is one of the chain's; none where none was given.
    noted: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Broken<'a> {
    seq: u64,
    after: u64,
    names: Option<&'a str>,
    found: &'a str,
}

pub(super) fn run(ui: &Ui, dir: &RunDir, noted: Option<&str>, json: bool) -> Result<(), Failure> {
    let log = Log::open(dir)?;
    let chain = log.chain();
    let noted = noted.map(|hash| has(dir, hash)).transpose()?;
    let holds = chain.broken().is_none() && chain.linked() > 0 && noted != Some(false);
    if json {
        ui.json(&Found {
            whole: holds,
            linked: chain.linked(),
            unlinked: chain.unlinked(),
            head: chain.head(),
            broken: chain.broken().map(|it| Broken {
                seq: it.seq,
                after: it.after,
                names: it.names.as_deref(),
                found: &it.found,
            }),
            noted,
        })?;
    }
    if let Some(failure) = refusal(dir, chain, noted) {
        return Err(failure);
    }
    if json {
        return Ok(());
    }
    if let Some(words) = words(chain) {
        ui.note(&words);
    }
    let head = chain.head().unwrap_or_default();
    ui.out(&format!("whole: {} entries, head {head}\n", chain.linked()))?;
    ui.note("whoever notes that head can prove later that nothing before it was changed: --head");
    Ok(())
}

fn refusal(dir: &RunDir, chain: &Chain, noted: Option<bool>) -> Option<Failure> {
    let id = dir.id();
    if let Some(broken) = chain.broken() {
        let what = match &broken.names {
            None => format!("event {} names no entry before it", broken.seq),
            Some(_) => format!(
                "event {} names another entry before it than event {} is now",
                broken.seq, broken.after
            ),
        };
        return Some(Failure::refused(
            format!("the ledger of {id} was changed after it was written: {what}"),
            format!(
                "compare events {} and {} with a copy: `org logs --json --run {id}` prints them",
                broken.after, broken.seq
            ),
        ));
    }
    if chain.linked() == 0 {
        return Some(Failure::refused(
            format!("the ledger of {id} is not chained: an older program wrote it"),
            "nothing can be proved of it; newer entries will be chained",
        ));
    }
    (noted == Some(false)).then(|| {
        Failure::refused(
            format!("the ledger of {id} has no entry of that hash"),
            "it was noted of another run, or the ledger was written anew since then",
        )
    })
}

/// Whether the chain has, or once had as its head, an entry of this hash.
fn has(dir: &RunDir, hash: &str) -> Result<bool, Failure> {
    let wanted = hash.trim().to_lowercase();
    let mut chain = Chain::default();
    let mut found = false;
    log::each(dir, |event, line| {
        chain.see(event, line.as_bytes());
        found |= chain.head() == Some(wanted.as_str());
    })?;
    Ok(found)
}

/// What has to be said of a chain before anything that rests on it.
#[must_use]
pub(super) fn words(chain: &Chain) -> Option<String> {
    if let Some(broken) = chain.broken() {
        return Some(format!(
            "CHANGED: the ledger's hash chain breaks at event {}; `org ledger --verify` tells more",
            broken.seq
        ));
    }
    let old = chain.unlinked();
    (old > 0 && chain.linked() > 0)
        .then(|| format!("{old} entries are older than the hash chain, and proved by nothing"))
}
