//! The same two wires from the other side: a local server that plays a scenario.
