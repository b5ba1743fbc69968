//! Talks to models over HTTP. Knows chat and the vendors' wires; not agents, mail or runs.
