//! `--report`.

use std::path::PathBuf;

use clap::Args;

/// Reports about a run.
#[derive(Debug, Args)]
pub(crate) struct Reports {
    /// Report for CI: junit=FILE, or github (annotations, and the job's summary); may be repeated
    #[arg(long, value_name = "REPORT", value_parser = parse)]
    pub(crate) report: Vec<ReportTo>,
}

/// A report, and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReportTo {
    /// JUnit XML in a file.
    Junit(PathBuf),
    /// What GitHub Actions shows.
    Github,
}

fn parse(text: &str) -> Result<ReportTo, String> {
    match text.split_once('=') {
        Some(("junit", file)) if !file.is_empty() => Ok(ReportTo::Junit(PathBuf::from(file))),
        None if text == "github" => Ok(ReportTo::Github),
        _ if text.starts_with("junit") => Err("junit needs a file: --report junit=FILE".to_owned()),
        _ => Err("expected junit=FILE or github".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_its_file() {
        assert_eq!(parse("junit=a=b.xml"), Ok(ReportTo::Junit("a=b.xml".into())));
        assert_eq!(parse("github"), Ok(ReportTo::Github));
        for wrong in ["", "junit", "junit=", "github=x", "gihtub"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
