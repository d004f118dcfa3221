//! What EC2 refuses of a network, and neither cfn-lint nor an emulator notices.

use crate::template;

/// What a description of a security group or of one of its rules may have besides letters and digits, and how long it
/// may be: CreateSecurityGroup and IpRange, Amazon EC2 API Reference.
const PUNCTUATION: &str = ". _-:/()#,@[]+=&;{}!$*";
const LENGTH_MAX: usize = 255;

#[test]
fn security_groups_are_described_in_characters_that_ec2_takes() {
    let template = template();
    let mut described = 0;
    for (id, resource) in template.section("Resources") {
        let kind = resource["Type"].as_str().expect("a resource has a type");
        if !kind.starts_with("AWS::EC2::SecurityGroup") {
            continue;
        }
        template::visit_objects(&resource["Properties"], &mut |properties| {
            for key in ["GroupDescription", "Description"] {
                let Some(text) = properties.get(key) else {
                    continue;
                };
                let text = text.as_str().expect("a description is text");
                let refused: String = text
                    .chars()
                    .filter(|letter| !letter.is_ascii_alphanumeric() && !PUNCTUATION.contains(*letter))
                    .collect();
                assert_eq!(refused, "", "{id}: {text}");
                assert!(text.len() <= LENGTH_MAX, "{id}: {text}");
                described += 1;
            }
        });
    }
    assert!(described > 10, "only {described} descriptions were looked at");
}
