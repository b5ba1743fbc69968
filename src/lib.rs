//! `org`, an orchestrator of research organisations made of AI agents, as a library that never
//! speaks: rooms in the order of their knowledge, described in ARCHITECTURE.md. Only `cli` knows
//! argv, environment and terminal.

pub mod domain;

pub mod os;
pub mod run;

pub mod lab;
pub mod mock;
pub mod office;
pub mod pane;
pub mod provider;
pub mod repo;
pub mod tool;

pub mod engine;
pub mod view;

pub mod cli;
