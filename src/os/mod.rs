//! The doors to the operating system. Everything that touches processes, the clock, descriptors or
//! the sandbox goes through here, so that a new door is visible in review.
