//! Read-only views over the log. Each can be deleted without loss.
