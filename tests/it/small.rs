//! Small tasks of a test's own: a few files, a chart around them, one or two scripted agents.

use std::path::PathBuf;

use crate::ground::{Run, TestEnvironment, write};

/// A task in the making.
pub(crate) struct Small {
    pub(crate) files: Vec<(&'static str, String)>,
    /// Lines of `[task]` beside `repo` and `base`.
    pub(crate) task: String,
    /// Whole tables: protocol, compute, budget and the like.
    pub(crate) tables: String,
    /// Agents, each with a GPU or without.
    pub(crate) agents: Vec<(&'static str, bool)>,
    /// The scenario after its first line.
    pub(crate) scenario: String,
}

impl Small {
    /// Writes everything down; says where the chart is.
    pub(crate) fn chart(&self, world: &TestEnvironment) -> PathBuf {
        for (name, text) in &self.files {
            write(&world.at("task").join(name), text);
        }
        write(
            &world.at("scenario.toml"),
            format!("version = 1\n{}", self.scenario),
        );
        let agents: String = self
            .agents
            .iter()
            .map(|(name, gpu)| {
                let gpu = if *gpu { "gpu = \"auto\"\n" } else { "" };
                format!(
                    "[[agents]]\nname = \"{name}\"\nrole = \"researcher\"\n\
                     model = \"claude-opus-5-5\"\n{gpu}"
                )
            })
            .collect();
        let chart = format!(
            "version = 1\nname = \"small\"\nmission = \"Lower the loss.\"\n\
             [task]\nrepo = \"{}\"\nbase = \"main\"\n{}\n{}\n\
             [mock]\nscenario = \"{}\"\n\
             [roles.researcher]\ntools = [\"shell\", \"files\", \"mail\", \"ledger\", \"experiment\"]\n{agents}",
            world.at("task").display(),
            self.task,
            self.tables,
            world.at("scenario.toml").display(),
        );
        let path = world.at("chart.toml");
        write(&path, chart);
        path
    }

    /// Plays it to its end.
    #[track_caller]
    pub(crate) fn play(&self, world: &TestEnvironment) -> Run {
        let chart = self.chart(world);
        let words = ["up", chart.to_str().expect("UTF-8"), "--mock", "--headless"];
        let said = world.org(&[&words[..], &["--until", "done"]].concat());
        assert!(!world.run_dirs().is_empty(), "{said}");
        world.nothing_lives();
        world.run()
    }
}

/// One step of a script: a call of a tool, with lines of its arguments.
pub(crate) fn call(tool: &str, arguments: &str) -> String {
    format!("[[scripts.steps]]\n[[scripts.steps.call]]\ntool = \"{tool}\"\n{arguments}\n")
}

/// A step that waits for words and then does a call.
pub(crate) fn after(expect: &str, tool: &str, arguments: &str) -> String {
    let call = format!("[[scripts.steps.call]]\ntool = \"{tool}\"\n{arguments}\n");
    format!("[[scripts.steps]]\nexpect = '{expect}'\n{call}")
}
