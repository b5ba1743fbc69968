//! Runs experiments: devices, launching, metric extraction. Knows jobs, not agents.

pub mod devices;
pub mod gpu;
pub mod gpu_use;
pub mod local;
pub mod machine;
pub mod metric;
