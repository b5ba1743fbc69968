//! How far a run says it is.
//!
//! Owns the reading of `[task] progress`: two groups, done and in all, of which the last one printed
//! counts. It is the run's own word, good for a bar and for nothing else.

use regex::Regex;

/// Done and in all, as last printed; none where nothing was, or where the numbers make no sense.
#[must_use]
pub fn last(pattern: &Regex, output: &str) -> Option<(f64, f64)> {
    let found = pattern.captures_iter(output).last()?;
    let number = |group: usize| -> Option<f64> {
        let text = found.get(group)?.as_str().replace([',', '_'], "");
        text.parse().ok().filter(|value: &f64| value.is_finite())
    };
    let (done, all) = (number(1)?, number(2)?);
    (all > 0.0 && done >= 0.0).then_some((done.min(all), all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_printed_counts() {
        let pattern = Regex::new(r"step ([\d,]+)/([\d,]+)").expect("a pattern");
        for (output, found) in [
            ("step 1/10\nstep 2/10\nloss 3", Some((2.0, 10.0))),
            ("step 1,200/4,000\rstep 1,300/4,000", Some((1300.0, 4000.0))),
            ("step 12/10", Some((10.0, 10.0))),
            ("step 1/0", None),
            ("no word", None),
        ] {
            assert_eq!(last(&pattern, output), found, "{output}");
        }
    }
}
