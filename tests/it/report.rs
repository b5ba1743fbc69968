//! The report from outside: of a finished run, of one with nothing in it, of one whose views were
//! damaged; and its page in a real browser, where there is one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::ground::{Run, TestEnvironment, told, until, write};

/// Programs that are a browser, by what they are called in different places.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// What the page is asked in a browser; the answer becomes its title.
const QUESTIONS: &str = r##"<script>addEventListener("load", () => {
  const root = document.documentElement, links = [...document.querySelectorAll("a[href]")];
  const seen = it => it.getClientRects().length > 0;
  parent.document.title = JSON.stringify({
    wide: root.scrollWidth, window: innerWidth, links: links.length,
    lost: links.map(it => it.getAttribute("href")).filter(it => !document.getElementById(it.slice(1))),
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    paper: getComputedStyle(document.body).backgroundColor,
    plots: [...document.querySelectorAll("svg.progress")].filter(seen).length,
    loaded: performance.getEntriesByType("resource").length,
    height: document.querySelector("h2").getBoundingClientRect().top });
});</script>"##;

fn finished(world: &TestEnvironment) -> Run {
    let words = [
        "up",
        "orgs/smoke.toml",
        "--mock",
        "--headless",
        "--until",
        "done",
    ];
    world.org(&words).well();
    world.run()
}

#[test]
fn a_finished_run_is_told_in_every_form() {
    let world = TestEnvironment::new();
    let run = finished(&world);
    let said = world.org(&["report"]).well();
    let first: Vec<&str> = said.out.lines().take(10).collect();
    let first = first.join("\n");
    for words in [
        "MOCKED RUN",
        "What happened",
        "Promoted",
        "raise the step size tenfold",
        "It cost",
        "Needs you",
    ] {
        assert!(first.contains(words), "{words}: {first}");
    }
    for words in [
        "re-measured at the end",
        "Honesty ratio",
        "self-reported",
        "Benjamini",
        "What was refused",
        "hash chain",
    ] {
        assert!(said.out.contains(words), "{words}: {said}");
    }
    let page = fs::read_to_string(run.path("report/index.html")).unwrap();
    for id in ["h1", "e1", "headline", "means", "log"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        assert!(page.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    assert_eq!(
        fs::read_to_string(run.path("report/report.md")).unwrap(),
        said.out
    );

    let file = world.at("page.html");
    let other = world
        .org(&["report", "--html", &file.display().to_string()])
        .well();
    other.naming(&["page.html"]);
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .starts_with("<!doctype html>")
    );
    assert!(
        world
            .org(&["report", "--html", "-"])
            .well()
            .out
            .starts_with("<!doctype html>")
    );
    for axis in ["experiment", "x=gpu_hours", "usd", "wall_hours"] {
        let svg = world.org(&["report", "--plot", axis]).well().out;
        assert!(
            svg.starts_with("<svg") && svg.contains("plot-reported"),
            "{axis}: {svg}"
        );
    }
    world
        .org(&["report", "--plot", "colour"])
        .refused(2)
        .naming(&["gpu_hours"]);
    let five = world.org(&["report", "--tsv"]).well().out;
    assert!(
        five.starts_with("commit\tval_loss\tmemory_gb\tstatus\tdescription\n"),
        "{five}"
    );
    assert!(five.contains("\tkeep\t"), "{five}");
    let full = world.org(&["report", "--tsv=full"]).well().out;
    assert_eq!(
        full,
        fs::read_to_string(run.path("results_full.tsv")).unwrap()
    );
    let json = world.org(&["report", "--json"]).json();
    assert_eq!(json["ledger"][0]["id"], "h1");
}

#[test]
fn views_may_be_deleted_or_damaged_and_the_report_is_told_all_the_same() {
    let world = TestEnvironment::new();
    let run = finished(&world);
    // All but what the run's directory takes, which the report itself is part of.
    let told = || {
        let said = world.org(&["report"]).well();
        let lines = said.out.lines().filter(|line| !line.contains("**disk**"));
        (lines.collect::<Vec<_>>().join("\n"), said.err)
    };
    let whole = told().0;
    let results = fs::read(run.path("results.tsv")).unwrap();
    fs::remove_dir_all(run.path("report")).unwrap();
    fs::remove_file(run.path("results.tsv")).unwrap();
    assert_eq!(told().0, whole);
    assert_eq!(fs::read(run.path("results.tsv")).unwrap(), results);
    write(&run.path("report/index.html"), "garbage");
    assert_eq!(told().0, whole);
    assert!(
        fs::read_to_string(run.path("report/index.html"))
            .unwrap()
            .starts_with("<!doctype")
    );
    // Something else stands where they belong.
    fs::remove_dir_all(run.path("report")).unwrap();
    write(&run.path("report"), "a file");
    let (text, words) = told();
    assert_eq!(text, whole);
    assert!(
        words.contains("not kept") && words.contains("report"),
        "{words}"
    );
}

#[test]
fn a_live_run_has_a_report_and_so_has_one_that_was_stopped_early() {
    let world = TestEnvironment::new();
    world
        .org(&["report"])
        .refused(1)
        .naming(&["there is no run"]);
    let chart = world.chart("smoke.toml", &[]);
    world
        .org(&["up", &chart, "--mock", "--headless", "--detach"])
        .well();
    let live = world.org(&["report"]).well();
    live.naming(&["MOCKED RUN", "What happened"]);
    // Whoever watches the table sees results as they come, without asking.
    let run = world.run();
    fs::remove_file(run.path("results.tsv")).unwrap();
    until("a result in results.tsv", || {
        let table = fs::read_to_string(run.path("results.tsv")).ok()?;
        (table.lines().count() > 1).then_some(())
    });
    world.org(&["down"]).well();
    let said = world.org(&["report"]).well();
    said.naming(&["stopped", "What it took"]);
}

/// A browser, where there is one.
fn browser(world: &TestEnvironment) -> Option<PathBuf> {
    let path = &world.env()["PATH"];
    let dirs = path.split(':').map(Path::new);
    dirs.flat_map(|dir| BROWSERS.map(|name| dir.join(name)))
        .find(|program| program.is_file())
}

#[test]
fn the_page_is_read_in_a_browser_light_dark_and_on_a_phone() {
    let world = TestEnvironment::new();
    let Some(browser) = browser(&world) else {
        // The page's structure is tested without one, in `view`.
        eprintln!("skipped: no browser here (one of {})", BROWSERS.join(", "));
        return;
    };
    finished(&world);
    let page = world.org(&["report", "--html", "-"]).well().out;
    let begin = page
        .find("<meta http-equiv=\"Content-Security-Policy\"")
        .unwrap();
    let end = begin + page[begin..].find('>').unwrap() + 1;
    let asked = format!("{}{}{QUESTIONS}", &page[..begin], &page[end..]);
    let asked = asked.replace('&', "&amp;").replace('"', "&quot;");
    for (dark, width) in [(false, 1200), (true, 1200), (false, 390), (true, 390)] {
        // In a frame, since a window cannot be made as narrow as a phone.
        let file = world.at("frame.html");
        let frame =
            format!("<iframe srcdoc=\"{asked}\" width={width} height=900 frameborder=0></iframe>");
        write(&file, format!("<!doctype html><title></title>{frame}"));
        let mut command = world.command(&browser);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ]);
        command.arg(format!("--user-data-dir={}", world.at("profile").display()));
        command.arg(format!(
            "--blink-settings=preferredColorScheme={}",
            u8::from(!dark)
        ));
        command.arg("--window-size=1400,1000");
        command.args(["--virtual-time-budget=2000", "--dump-dom"]);
        command.arg(format!("file://{}", file.display()));
        let said = told(command, "").well().out;
        let title = said
            .split("<title>")
            .nth(1)
            .unwrap()
            .split("</title>")
            .next()
            .unwrap();
        let seen: Value = serde_json::from_str(&title.replace("&amp;", "&")).unwrap();
        assert_eq!(seen["dark"], dark, "{seen}");
        let paper = if dark {
            "rgb(20, 23, 26)"
        } else {
            "rgb(255, 255, 255)"
        };
        assert_eq!(seen["paper"], paper, "{seen}");
        assert_eq!(seen["lost"], Value::Array(Vec::new()), "{seen}");
        assert_eq!(seen["plots"], 1, "one axis at a time: {seen}");
        assert_eq!(seen["loaded"], 0, "it needs nothing else: {seen}");
        assert!(seen["links"].as_u64().unwrap() > 100, "{seen}");
        let (wide, window) = (
            seen["wide"].as_u64().unwrap(),
            seen["window"].as_u64().unwrap(),
        );
        assert!(
            wide <= window && window <= width,
            "it scrolls sideways: {seen}"
        );
        assert!(
            seen["height"].as_f64().unwrap() < 900.0,
            "what matters is on the first screen: {seen}"
        );
    }
}
