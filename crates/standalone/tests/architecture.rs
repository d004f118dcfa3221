//! The direction of dependencies, from `cargo metadata`:
//!
//! ```text
//! functions ──▶ lambda ─────────▶ aws, isapi ──▶ domain
//! standalone ──▶ recorder ──▶ aws, local, isapi ──▶ domain        simulator (names nobody)
//! ```
//!
//! `domain` names nobody and has no means of I/O; the build of the demo has no AWS SDK in it.

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, Package, PackageId};
use std::collections::{BTreeMap, BTreeSet};

/// What each crate of the workspace may use of it. A new crate gets its line here, or is one of `functions/`.
const ARROWS: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("simulator", &[]),
    ("template", &[]),
    ("e2e", &["domain", "simulator"]),
    ("cost", &["domain"]),
    ("isapi", &["domain"]),
    ("local", &["domain"]),
    ("aws", &["domain"]),
    ("lambda", &["aws", "domain", "isapi"]),
    ("recorder", &["aws", "domain", "isapi", "local"]),
    (
        "standalone",
        &["aws", "cost", "domain", "isapi", "local", "recorder", "simulator"],
    ),
];

/// What a Lambda function may use.
const FUNCTION: &[&str] = &["aws", "cost", "domain", "isapi", "lambda"];

/// Everything `domain` may use of the world: values, errors and combinators, but no file, socket, clock or runtime.
const DOMAIN_USES: [&str; 7] = [
    "futures",
    "hex",
    "jiff",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
];

fn metadata(features: CargoOpt) -> Metadata {
    let mut command = MetadataCommand::new();
    command.manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.toml"));
    // Other platforms' packages would only be downloaded to be looked at.
    let options = ["--locked", "--filter-platform", "host-tuple"];
    command
        .features(features)
        .other_options(options.map(str::to_owned));
    command.exec().expect("cargo describes the workspace")
}

fn allowed(package: &Package) -> Option<&'static [&'static str]> {
    if package
        .manifest_path
        .components()
        .any(|part| part.as_str() == "functions")
    {
        return Some(FUNCTION);
    }
    let line = ARROWS.iter().find(|(name, _)| *name == package.name.as_str());
    line.map(|(_, allowed)| *allowed)
}

/// What the package itself is built with, optional or not; tests may use what they like.
fn uses(package: &Package) -> BTreeSet<&str> {
    let built_with = package
        .dependencies
        .iter()
        .filter(|used| used.kind != DependencyKind::Development);
    built_with.map(|used| used.name.as_str()).collect()
}

#[test]
fn every_arrow_between_crates_points_towards_the_domain() {
    let metadata = metadata(CargoOpt::AllFeatures);
    let members = metadata.workspace_packages();
    let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    for (name, _) in ARROWS {
        assert!(names.contains(name), "{name} is gone; take its line out");
    }
    for member in members {
        let allowed = allowed(member).unwrap_or_else(|| panic!("{} has no line in ARROWS", member.name));
        let wrong: Vec<_> = uses(member)
            .intersection(&names)
            .filter(|used| !allowed.contains(used))
            .copied()
            .collect();
        assert!(wrong.is_empty(), "{} must not use {wrong:?}", member.name);
    }
}

#[test]
fn the_domain_has_no_means_of_input_or_output() {
    let metadata = metadata(CargoOpt::AllFeatures);
    let domain = metadata
        .workspace_packages()
        .into_iter()
        .find(|member| member.name == "domain");
    let domain = domain.expect("there is a domain");
    assert_eq!(uses(domain), BTreeSet::from(DOMAIN_USES));
}

#[test]
fn the_demo_builds_without_the_aws_sdk_and_only_features_bring_it() {
    let tree = |features| names_below("standalone", &metadata(features));
    let sdk = |names: &BTreeSet<String>| names.iter().any(|name| name.starts_with("aws-sdk-"));

    let as_built = tree(CargoOpt::SomeFeatures(Vec::new()));
    assert!(
        as_built.contains("recorder") && as_built.contains("rusqlite"),
        "{as_built:?}"
    );
    assert!(!sdk(&as_built), "{as_built:?}");
    assert!(sdk(&tree(CargoOpt::AllFeatures)));
}

/// The names of everything a member is built with, near and far.
fn names_below(member: &str, metadata: &Metadata) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("cargo resolved the workspace");
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let root = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| package.name == member);
    let mut unseen = vec![&root.expect("the member exists").id];
    let mut seen = BTreeSet::new();
    while let Some(id) = unseen.pop() {
        if !seen.insert(id) {
            continue;
        }
        let built_with = nodes[id].deps.iter().filter(|used| {
            used.dep_kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development)
        });
        unseen.extend(built_with.map(|used| &used.pkg));
    }
    seen.into_iter().map(|id| metadata[id].name.to_string()).collect()
}
