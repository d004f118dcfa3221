//! Every alarm and every line of the dashboard is about a metric that is measured, and somebody hears the alarm.

use crate::{source, template};
use serde_json::Value;
use std::collections::BTreeSet;
use template::Template;

/// Where the functions write metrics; the names stand in quotes.
const MEASURED_IN: [&str; 2] = ["functions", "crates/lambda/src"];
/// The table that says what each means.
const DOCUMENTED_IN: &str = "crates/lambda/src/metrics.rs";

fn assert_measured(metric: &str, by: &str) {
    let code: String = MEASURED_IN.iter().map(|folder| source(folder)).collect();
    assert!(
        code.contains(&format!("\"{metric}\"")),
        "{by}: nobody measures {metric}"
    );
    assert!(
        source(DOCUMENTED_IN).contains(&format!("`{metric}`")),
        "{by}: nobody explains {metric}"
    );
}

/// The dashboard of a stack that has all there is to show.
fn dashboard(template: &Template) -> String {
    let body = template.at("/Resources/Dashboard/Properties/DashboardBody");
    template::substitution(body).expect("the dashboard is a text")
}

#[test]
fn every_alarm_is_about_a_metric_that_is_measured() {
    let template = template();
    let alarms = template.resources_of("AWS::CloudWatch::Alarm");
    assert!(alarms.len() >= 17);
    for (id, alarm) in alarms {
        for watched in watched(&alarm["Properties"]) {
            let metric = watched["MetricName"].as_str().expect("an alarm has a metric");
            match watched["Namespace"].as_str() {
                Some("Millrace") => assert_measured(metric, id),
                Some("AWS/Lambda") => assert_eq!(metric, "Errors", "{id}"),
                Some("AWS/SQS") => assert_eq!(metric, "ApproximateNumberOfMessagesVisible", "{id}"),
                other => panic!("{id} watches {other:?}"),
            }
        }
    }
}

/// What an alarm watches: one metric, or those that an expression is about.
fn watched(alarm: &Value) -> Vec<&Value> {
    let Some(terms) = alarm["Metrics"].as_array() else {
        return vec![alarm];
    };
    let metrics = terms.iter().map(|term| &term["MetricStat"]["Metric"]);
    metrics.filter(|metric| metric.is_object()).collect()
}

#[test]
fn every_function_has_an_alarm_on_its_errors() {
    let template = template();
    let watched: BTreeSet<&str> = template
        .resources_of("AWS::CloudWatch::Alarm")
        .into_values()
        .filter(|alarm| alarm["Properties"]["MetricName"] == "Errors")
        .filter_map(|alarm| alarm["Properties"]["Dimensions"][0]["Value"]["Ref"].as_str())
        .collect();
    let functions = template.resources_of("AWS::Serverless::Function");
    assert_eq!(watched, functions.into_keys().collect());
}

#[test]
fn somebody_hears_every_alarm_and_the_dashboard_shows_it() {
    let template = template();
    let dashboard = dashboard(&template);
    for (id, alarm) in template.resources_of("AWS::CloudWatch::Alarm") {
        assert_eq!(
            alarm["Properties"]["AlarmActions"][0]["Ref"], "AlertsTopic",
            "{id}"
        );
        let missing = alarm["Properties"]["TreatMissingData"].as_str();
        assert!(missing.is_some(), "{id} says not what no data means");
        assert!(
            dashboard.contains(&format!("${{{id}.Arn}}")),
            "the dashboard lacks {id}"
        );
        assert!(
            source("docs/deployment.md").contains(&format!("`{id}`")),
            "docs lack {id}"
        );
    }
}

#[test]
fn the_dashboard_shows_what_is_measured() {
    let template = template();
    let body: Value = serde_json::from_str(&dashboard(&template))
        .expect("the dashboard is JSON before its names are filled in");
    let mut shown = BTreeSet::new();
    for widget in body["widgets"].as_array().expect("a dashboard has widgets") {
        let mut namespace = "";
        for line in widget["properties"]["metrics"].as_array().into_iter().flatten() {
            // `.` repeats the field above it, `...` all of them; an expression is an object.
            let (Some(first), Some(metric)) = (line[0].as_str(), line[1].as_str()) else {
                continue;
            };
            if first != "." {
                namespace = first;
            }
            if namespace == "Millrace" && metric != "." {
                shown.insert(metric.to_owned());
            }
        }
    }
    assert!(shown.len() > 10, "{shown:?}");
    for metric in shown {
        assert_measured(&metric, "the dashboard");
    }
}

/// The metrics that are explained.
fn documented() -> BTreeSet<String> {
    let text = source(DOCUMENTED_IN);
    let rows = text.lines().filter(|line| line.starts_with("//! | `"));
    let names = rows.filter_map(|row| row.split(" | ").nth(1));
    let names = names.flat_map(|names| names.split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

#[test]
fn every_metric_that_is_documented_is_shown() {
    let template = template();
    let dashboard = dashboard(&template);
    let names = documented();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let shown = dashboard.contains(&format!("\"{name}\""));
        assert!(shown, "the dashboard does not show {name}");
    }
}

#[test]
fn the_metrics_and_alarms_that_are_paid_for_are_counted_in_the_docs() {
    let template = template();
    let alarms = template.resources_of("AWS::CloudWatch::Alarm").len();
    let counted = format!("| {} metrics, {alarms} alarms, ", documented().len());
    let docs = source("docs/deployment.md");
    assert!(docs.contains(&counted), "docs do not say {counted}");
}
