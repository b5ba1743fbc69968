//! Runs experiments: devices, launching, metric extraction. Knows jobs, not agents.
