//! An agent's hands. Each tool reads its arguments, acts or asks, and answers in text.
