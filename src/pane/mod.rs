//! One agent on a terminal: a view with an input line.
