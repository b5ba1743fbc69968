//! Keys to model servers: read once at `up`, handed on over standard input, kept in memory only.
//!
//! In no environment of a long-lived process, argument, log, event or blob. A ring travels whole, so
//! that an agent that finds the supervisor gone can start one that lacks nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::chart::{Chart, KeySource};
use crate::domain::model;
use crate::os::exec::Exec;
use crate::provider::Detour;

/// Longest time a `key_cmd` may take; password managers ask a person.
const KEY_CMD_LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// Keys by provider name, and the way to their servers.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyRing {
    keys: BTreeMap<String, String>,
    detour: Detour,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing of {}", self.keys.len())
    }
}

/// A key that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("no key for provider {provider}: {why}")]
pub struct NoKey {
    /// The provider.
    pub provider: String,
    /// Why not.
    pub why: String,
    /// What to do.
    pub hint: String,
}

impl KeyRing {
    /// The ring that travelled as JSON; an empty text is an empty ring.
    #[must_use]
    pub fn from_json(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// The ring as it travels.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A provider's key.
    #[must_use]
    pub fn get(&self, provider: &str) -> Option<&str> {
        self.keys.get(provider).map(String::as_str)
    }

    /// The way to the servers.
    #[must_use]
    pub fn detour(&self) -> &Detour {
        &self.detour
    }

    /// Collects the keys of every provider that a chart's agents use, and those that lie at hand for the
    /// others, since a person may give an agent another model. `env` looks a variable up.
    ///
    /// # Errors
    /// The first key that cannot be had.
    pub fn collect(
        chart: &Chart,
        env: &dyn Fn(&str) -> Option<String>,
        clean: &BTreeMap<String, String>,
    ) -> Result<Self, NoKey> {
        let mut keys = BTreeMap::new();
        let models = chart.agents.iter().flat_map(|agent| {
            let stand_in = chart.role_of(agent).fallback.as_ref();
            [Some(&agent.model), stand_in].into_iter().flatten()
        });
        for model in models.filter_map(|name| model::resolve(chart, name)) {
            if keys.contains_key(&model.provider) {
                continue;
            }
            if let Some(key) = one(&model.provider, &model.spec.key, env, clean)? {
                keys.insert(model.provider, key);
            }
        }
        for (name, spec) in &chart.providers {
            // A command may ask a person, for a key that nobody may ever need.
            let at_hand = matches!(spec.key, KeySource::Env(_) | KeySource::File(_));
            if at_hand
                && !keys.contains_key(name)
                && let Ok(Some(key)) = one(name, &spec.key, env, clean)
            {
                keys.insert(name.clone(), key);
            }
        }
        let detour = Detour::of(env);
        Ok(Self { keys, detour })
    }
}

fn one(
    provider: &str,
    source: &KeySource,
    env: &dyn Fn(&str) -> Option<String>,
    clean: &BTreeMap<String, String>,
) -> Result<Option<String>, NoKey> {
    let refused = |why: String, hint: String| NoKey {
        provider: provider.to_owned(),
        why,
        hint,
    };
    let key = match source {
        KeySource::None => return Ok(None),
        KeySource::Env(name) => env(name).ok_or_else(|| {
            refused(
                format!("the environment has no {name}"),
                format!("export {name}=…, or add --mock to try without a key"),
            )
        })?,
        KeySource::File(path) => std::fs::read_to_string(path).map_err(|error| {
            refused(
                format!("{} cannot be read: {error}", path.display()),
                format!("put the key into {}", path.display()),
            )
        })?,
        KeySource::Cmd(command) => {
            let said = Exec::new("sh")
                .args(["-c", command])
                .envs(clean.clone())
                .output(KEY_CMD_LIMIT)
                .ok()
                .filter(|said| said.status.success());
            let said = said.ok_or_else(|| {
                refused(
                    "its key_cmd failed".to_owned(),
                    "run the chart's key_cmd by hand and see what it says".to_owned(),
                )
            })?;
            String::from_utf8_lossy(&said.stdout).into_owned()
        }
    };
    let key = key.trim().to_owned();
    if key.is_empty() {
        let place = match source {
            KeySource::Env(name) => name.clone(),
            KeySource::File(path) => path.display().to_string(),
            KeySource::Cmd(_) | KeySource::None => "what key_cmd prints".to_owned(),
        };
        return Err(refused(
            format!("{place} is empty"),
            format!("put the key into {place}, or add --mock to try without one"),
        ));
    }
    Ok(Some(key))
}
