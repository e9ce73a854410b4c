//! The formats of a report: each lays out the same data in the same words.

mod clean;
mod markdown;
mod svg;
mod templates;

use serde_json::{Value, json};

pub(crate) use self::markdown::escape;
use crate::findings::ExperimentReport;
use crate::review::Document;

/// A format that the report of an experiment can be had in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ReportFormat {
    /// Markdown, in the runbook's form
    Md,
    /// One HTML file with pictures, which needs nothing else
    Html,
    /// The report as data
    Json,
    /// JUnit XML: each check a test, for CI systems
    Junit,
    /// A job summary in the Markdown of GitHub
    Summary,
}

impl ReportFormat {
    /// The ending of such a file.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            ReportFormat::Md => "md",
            ReportFormat::Html => "html",
            ReportFormat::Json => "json",
            ReportFormat::Junit => "junit.xml",
            // No `.md`: what greps over those counts each report once.
            ReportFormat::Summary => "summary.txt",
        }
    }

    fn template(self) -> Option<&'static str> {
        match self {
            ReportFormat::Md => Some("report.md"),
            ReportFormat::Html => Some("report.html"),
            ReportFormat::Json => None,
            ReportFormat::Junit => Some("junit.xml"),
            ReportFormat::Summary => Some("summary.md"),
        }
    }
}

/// The report of an experiment in a format.
///
/// # Panics
/// Never: the report is plain data.
pub(crate) fn experiment(report: &ExperimentReport, format: ReportFormat) -> Vec<u8> {
    let data = serde_json::to_value(report).expect("plain data");
    let mut data = clean::clean(data);
    if format == ReportFormat::Html {
        data["drawings"] = clean::clean(json!(svg::draw(&report.pictures)));
    }
    match format.template() {
        Some(template) => templates::fill(template, data).into_bytes(),
        None => pretty(&data),
    }
}

/// A review as Markdown and as HTML, each with the ending of such a file.
///
/// # Panics
/// Never: the review is plain data.
pub(crate) fn review(document: &Document) -> [(&'static str, Vec<u8>); 2] {
    let data = serde_json::to_value(document).expect("plain data");
    let mut data = clean::clean(data);
    let markdown = templates::fill("review.md", data.clone());
    data["drawings"] = clean::clean(json!(svg::draw_review(&document.pictures)));
    let html = templates::fill("review.html", data);
    [("md", markdown.into_bytes()), ("html", html.into_bytes())]
}

fn pretty(data: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(data).expect("plain data");
    text.push(b'\n');
    text
}
