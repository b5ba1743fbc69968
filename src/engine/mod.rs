//! The two loops, supervise and agent, and the hands that carry out decisions. The only place with
//! tasks, `select!` and shutdown.
