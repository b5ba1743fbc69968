//! The official Python SDKs of both vendors, unmodified, against `org mock`: what they take for their
//! vendor, every other client may too.
//!
//! `.ci/sdks` makes the virtual environment, once. Where it cannot, this fails and says what to do: a
//! test that leaves itself out would be believed.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::ground::{ORG, TestEnvironment, command, project, told};

#[test]
fn the_sdks_of_both_vendors_are_served() {
    // In the environment of whoever tests: that is where proxies, mirrors and certificates stand.
    let mut made = command("sh");
    made.arg(project().join(".ci/sdks"))
        .arg(env!("CARGO_TARGET_TMPDIR"));
    let made = told(made, "");
    assert_eq!(made.code, 0, "{made}");
    let python = made.out.trim();

    let world = TestEnvironment::new();
    let sdks = project().join("tests/sdks");
    let mut mock = world.command(ORG);
    mock.args(["mock", "--port", "0", "--scenario"])
        .arg(sdks.join("scenario.toml"));
    let mut mock = mock.stdout(Stdio::piped()).spawn().unwrap();
    let mut url = String::new();
    let mut said = BufReader::new(mock.stdout.take().unwrap());
    said.read_line(&mut url).unwrap();

    let mut exchange = world.command(python);
    exchange.arg(sdks.join("exchange.py")).arg(url.trim());
    let exchanged = told(exchange, "");
    mock.kill().unwrap();
    mock.wait().unwrap();
    exchanged
        .well()
        .naming(&["anthropic 2.12.0 and openai 3.54.0 are served"]);
}
