//! How the program is linked: at a fixed place in memory.
//!
//! A program that may lie anywhere has every address in its tables written anew at each start, and the
//! pages with them are each process's own. This one is started three times for every confined command
//! and twenty times for an office. Stack, heap and libraries lie anywhere as before; what is given up is
//! a random place of the program itself, which has no unsafe code of its own.

#[expect(
    clippy::disallowed_methods,
    reason = "this is how cargo tells a build script its target"
)]
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|it| it == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
