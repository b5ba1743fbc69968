//! The grid of panes. Knows seats and argv, not roles or states, and has no verb to read a pane.
