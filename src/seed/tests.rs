//! The seed file as a whole: the files that are read, and what is said of those that are not.

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use super::file::{SeedError, limits, read, syntax_line};
use super::*;
use crate::auth::{BUILTIN_ACCESS_KEY, BUILTIN_TOKEN};
use crate::config::SeedSource;

fn read_text(text: &str) -> Result<(Directory, Seed), SeedError> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("seed.yaml");
    std::fs::write(&path, text).expect("written");
    read(&SeedSource::File(path), "r1")
}

#[test]
fn the_documented_format_is_read() {
    let (directory, seed) = read_text(
            r#"
accounts:
  - name: partner
    id: "0000000000000000000000000000000a"
    users:
      - {name: dev, password: p, access_key: AK, secret_key: SK, token: partner-dev, admin: true}
organizations:
  - name: group
    account: swr-emulator
    creator: admin
    repositories:
      - name: team/app
        is_public: true
        category: linux
        description: "text"
        triggers:
          - {name: on-push, action: update, app_type: deployments, application: adsfa, cluster_id: 5b28c12f-dc10-11e9-97b3-0255ac1001b5,
             cluster_name: test, cluster_ns: default, condition: ".*", enable: "true", trigger_mode: cce, trigger_type: all}
  - name: theirs
    account: partner
clusters:
  - id: 5b28c12f-dc10-11e9-97b3-0255ac1001b5
    name: test
    namespaces:
      - name: default
        deployments:
          - name: adsfa
            containers: [{name: busybox, image: "{registry}/group/busybox:1.0"}]
            init_containers: []
        statefulsets: []
  - name: cci
"#,
        )
        .expect("accepted");
    assert_eq!(directory.accounts().len(), 2);
    assert!(directory.by_access_key("AK").is_some_and(|user| user.admin));
    let [group, theirs] = &seed.namespaces[..] else {
        panic!("two organizations")
    };
    assert_eq!(group.repositories[0].name.as_str(), "team/app");
    assert_eq!(group.repositories[0].triggers.len(), 1);
    assert_eq!(theirs.creator.name, "dev");
    assert_eq!(seed.clusters[1].cluster.id, "cci");
    let SeedWorkload { key, template, .. } = &seed.clusters[0].workloads[0];
    assert_eq!(
        (key.namespace.as_str(), key.name.as_str()),
        ("default", "adsfa")
    );
    assert_eq!(template.containers[0].image, "{registry}/group/busybox:1.0");
}

/// The keys of everything that a path of lists leads to.
fn keys_at(value: &Value, path: &[&str]) -> HashSet<String> {
    match (value, path) {
        (Value::Array(items), _) => items.iter().flat_map(|item| keys_at(item, path)).collect(),
        (Value::Object(fields), [next, rest @ ..]) => fields
            .get(*next)
            .map(|value| keys_at(value, rest))
            .unwrap_or_default(),
        (Value::Object(fields), []) => fields.keys().cloned().collect(),
        _ => HashSet::new(),
    }
}

#[test]
fn the_example_has_every_key() {
    let example: Value = serde_saphyr::from_str(crate::seed::EXAMPLE).expect("YAML");
    let check = |path: &[&str]| {
        // The error for a key that there is not lists those that there are.
        let wrong = path.iter().rev().fold(json!({"x": 1}), |inner, key| {
            let mut outer = json!({ *key: [inner] });
            if key != &path[0] {
                outer["name"] = "x".into();
            }
            outer
        });
        let error = read_text(&wrong.to_string())
            .expect_err("refused")
            .to_string();
        let (_, keys) = error.split_once("must be one of ").expect("the keys");
        let keys: HashSet<_> = keys.split(", ").map(str::to_owned).collect();
        assert_eq!(keys_at(&example, path), keys, "{path:?}");
    };
    check(&[]);
    check(&["regions"]);
    check(&["accounts"]);
    check(&["accounts", "users"]);
    check(&["accounts", "iam_users"]);
    check(&["organizations"]);
    check(&["organizations", "permissions"]);
    check(&["organizations", "repositories"]);
    check(&["organizations", "repositories", "permissions"]);
    check(&["organizations", "repositories", "triggers"]);
    check(&["organizations", "repositories", "shares"]);
    check(&["organizations", "repositories", "sync"]);
    check(&["clusters"]);
    check(&["clusters", "namespaces"]);
    check(&["clusters", "namespaces", "deployments"]);
    check(&["clusters", "namespaces", "deployments", "containers"]);
}

#[test]
fn json_and_an_empty_file_are_read_too() {
    assert!(read_text(r#"{"organizations": [{"name": "group"}]}"#).is_ok());
    assert!(read_text("").is_ok());
    assert!(read_text("# nothing yet\n").is_ok());
}

#[test]
fn a_file_that_is_too_large_says_what_to_do() {
    let text = format!("organizations:\n{}", "- [a, b]\n".repeat(1000));
    let limits = limits(300);
    let read = serde_saphyr::from_str_with_options::<serde::de::IgnoredAny>(&text, limits);
    let error = syntax_line(Path::new("seed.yaml"), &read.expect_err("refused"));
    assert!(
        error.ends_with(
            ": must have at most 3000000 values, enough for 100,000 triggers; create the rest \
                 through the API"
        ),
        "{error}"
    );
    assert!(error.starts_with("seed.yaml:101: "), "{error}");
}

#[test]
fn fifteen_thousand_triggers_are_read() {
    let trigger = "{name: T, action: update, app_type: deployments, application: a, \
                       cluster_id: c, cluster_name: c, cluster_ns: d, condition: '.*', \
                       container: '', enable: 'true', trigger_mode: cce, trigger_type: all}";
    let triggers = (0..15_000).map(|at| trigger.replace('T', &format!("t{at}")));
    let triggers: Vec<_> = triggers.collect();
    let text = format!(
        "organizations: [{{name: g, repositories: [{{name: r, triggers: [{}]}}]}}]",
        triggers.join(", ")
    );
    let (_, seed) = read_text(&text).expect("read");
    assert_eq!(seed.namespaces[0].repositories[0].triggers.len(), 15_000);
}

#[test]
fn an_error_tells_line_field_and_rule() {
    let check = |text: &str, line: u64, part: &str| {
        let error = read_text(text).expect_err("refused").to_string();
        assert!(error.contains(&format!("seed.yaml:{line}: ")), "{error}");
        assert!(error.contains(part), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    };
    check(
        "organizations:\n  - name: Group\n",
        2,
        "organizations[0].name: must start",
    );
    check(
        "organizations:\n  - name: g\n    colour: red\n",
        3,
        "colour",
    );
    check(
        "organizations:\n  - name: g\n    account: nobody\n",
        3,
        "organizations[0].account: ",
    );
    check(
        "organizations:\n  - name: g\n    creator: nobody\n",
        3,
        "organizations[0].creator: ",
    );
    check(
        "organizations:\n  - name: g\n  - name: g\n",
        3,
        "organizations[1].name: must be unique",
    );
    check(
        "builtin_account: false\norganizations:\n  - name: g\n",
        3,
        "organizations[0].account",
    );
    check(
        "accounts:\n  - name: a\n    users:\n      - {name: u, access_key: k}\n",
        4,
        "accounts[0].users[0].access_key",
    );
    check(
        "organizations:\n  - name: g\n    repositories:\n      - name: r\n        triggers:\n          - {name: t, action: update}\n",
        6,
        "organizations[0].repositories[0].triggers[0].app_type: is mandatory",
    );
    check(
        "organizations:\n  - name: g\n    repositories:\n      - name: r\n        triggers:\n          - {nmae: t}\n",
        6,
        "organizations[0].repositories[0].triggers[0].nmae: is not a field",
    );
    check("organizations:\n  - name: [\n", 2, "must be a string");
    let workload = |containers: &str| {
        format!(
            "clusters:\n  - name: c\n    namespaces:\n      - name: n\n        deployments: \
                 [{{name: web, containers: {containers}}}]\n"
        )
    };
    let place = "clusters[0].namespaces[0].deployments[0].containers";
    let rule = |rest: &str| format!("{place}{rest}");
    check(
        &workload("[{name: c, imgae: x}]"),
        5,
        &rule("[0].imgae: is not a field"),
    );
    check(
        &workload("[{name: c, image: 'HTTP://x y'}]"),
        5,
        &rule("[0].image: must be an"),
    );
    check(
        &workload("[{name: c, image: '{regsitry}/a'}]"),
        5,
        &rule("[0].image: must be an"),
    );
    check(&workload("[]"), 5, &rule(": must not be empty"));
    check(
        "regions:\n  - {name: R2, listen: \"127.0.0.1:0\"}\n",
        2,
        "regions[0].name: must have 1 to 64",
    );
    check(
        "regions:\n  - {name: r1, listen: \"127.0.0.1:0\"}\n",
        2,
        "regions[0].name: must not be the home region",
    );
    check(
        "regions:\n  - {name: r2, listen: \"127.0.0.1:0\"}\n  - {name: r2, listen: \"127.0.0.1:0\"}\n",
        3,
        "regions[1].name: must be unique",
    );
    check(
        "regions:\n  - name: r2\n    listen: localhost\n",
        3,
        "regions[0].listen: must be an address",
    );
    check(
        "regions:\n  - name: r2\n    listen: 127.0.0.1:0\n    registry_host: http://x\n",
        4,
        "regions[0].registry_host: must be HOST",
    );
    check(
        "organizations:\n  - name: g\n    region: r2\n",
        3,
        "organizations[0].region: must be the home region or a region",
    );
}

#[test]
fn an_organization_is_in_the_home_region_unless_it_names_another() {
    let (_, seed) = read_text(
        r#"
regions: [{name: r2, listen: "127.0.0.1:0", registry_host: swr.test}]
organizations: [{name: g}, {name: g, region: r2}, {name: h, region: r1}]
"#,
    )
    .expect("accepted");
    let regions: Vec<_> = seed.namespaces.iter().map(|n| n.region.as_str()).collect();
    assert_eq!(regions, ["r1", "r2", "r1"]);
    assert_eq!(seed.regions[0].registry_host.as_deref(), Some("swr.test"));
}

#[test]
fn an_error_is_one_line_whatever_the_names_hold() {
    let check = |text: &str, part: &str| {
        let error = read_text(text).expect_err("refused").to_string();
        assert!(error.contains(part), "{error:?}");
        assert!(!error.contains(char::is_control), "{error:?}");
    };
    check(
        r#"organizations: [{name: g, account: "no\nbody"}]"#,
        r"there is no no\nbody",
    );
    check(
        r#"accounts: [{name: "a\nb"}, {name: "a\nb"}]"#,
        r"the account a\nb appears twice",
    );
    check(
        r#"organizations: [{name: g, repositories: [{name: r, triggers: [{"\e[1m": 1}]}]}]"#,
        r"triggers[0].\u{1b}[1m: is not a field",
    );
    check(r#"{"\e[1m": 1}"#, r"\u{1b}[1m");
}

#[test]
fn an_error_never_shows_a_secret() {
    let text = "accounts:\n  - {name: a, users: [{name: u, token: hidden-token}, {name: v, token: hidden-token}]}\n";
    let error = read_text(text).expect_err("refused").to_string();
    assert!(!error.contains("hidden"), "{error}");
    assert!(
        error.contains(":2: accounts[0].users[1].token: is already used by accounts[0].users[0]"),
        "{error}"
    );
    for (key, value) in [
        ("token", BUILTIN_TOKEN),
        ("secret_key: s, access_key", BUILTIN_ACCESS_KEY),
    ] {
        let text = format!("accounts: [{{name: a, users: [{{name: u, {key}: '{value}'}}]}}]");
        let error = read_text(&text).expect_err("refused").to_string();
        assert!(
            error.ends_with(": is already used by the built-in user"),
            "{error}"
        );
        let text = format!("builtin_account: false\n{text}");
        assert!(read_text(&text).is_ok(), "{key}");
    }
}

#[test]
fn an_error_has_the_line_of_the_key() {
    let check = |text: &str, line: u64, part: &str| {
        let error = read_text(text).expect_err("refused").to_string();
        assert!(error.contains(&format!("seed.yaml:{line}: ")), "{error}");
        assert!(error.contains(part), "{error}");
    };
    let text = "\
organizations:
  - name: g
    repositories:
      - name: r
        triggers:
          - &first
            name: t
            action: update
            app_type: deployments
            application: web
            cluster_id: c
            cluster_name: c
            cluster_ns: default
            condition: '.*'
            enable: \"true\"
            trigger_mode: cce
            trigger_type: all
          - name: u
            <<: *first
clusters:
  - name: c
    namespaces:
      - name: default
        deployments:
          - name: web
            containers:
              - name: web
                image: nginx:1
";
    assert!(read_text(text).is_ok());
    let trigger = "organizations[0].repositories[0].triggers[0]";
    let change = |from: &str, to: &str| text.replacen(from, to, 1);
    check(
        &change("enable: \"true\"", "enable: true"),
        15,
        &format!("{trigger}.enable: must be \"true\" or \"false\", in quotes"),
    );
    check(
        &change("'.*'", "'('"),
        14,
        &format!("{trigger}.condition: "),
    );
    check(
        &change("- name: u\n            <<: *first", "- *first"),
        18,
        "organizations[0].repositories[0].triggers[1].name: must be unique",
    );
    check(
        &change(
            "  - name: c\n    namespaces",
            "  - name: c\n    kubeconfig: k\n    namespaces",
        ),
        23,
        "clusters[0].namespaces: must be omitted",
    );
    check(
        &change("nginx:1", "Nginx"),
        28,
        "clusters[0].namespaces[0].deployments[0].containers[0].image: must be an image",
    );
}

#[test]
fn a_boolean_is_not_in_quotes() {
    let text = |value: &str| {
        format!("organizations: [{{name: g, repositories: [{{name: r,\n is_public: {value}}}]}}]")
    };
    assert!(read_text(&text("true")).is_ok());
    for value in ["'yes'", "'true'", "\"false\"", "1", "[]", "{}", "null"] {
        let error = read_text(&text(value)).expect_err("refused").to_string();
        assert!(
            error.contains("must be true or false, without quotes"),
            "{error}"
        );
        assert!(error.contains("seed.yaml:2: "), "{error}");
    }
}

#[test]
fn an_error_of_the_form_is_in_plain_words() {
    let check = |text: &str, expected: &str| {
        let error = read_text(text).expect_err("refused").to_string();
        assert!(
            error.ends_with(&format!("/seed.yaml:{expected}")),
            "{error}"
        );
    };
    check("organizations: 1\n", "1: must be a list");
    check(
        "organizations:\n  - g\n",
        "2: must be a mapping of keys to values, like name: value",
    );
    check("organizations:\n  - name: []\n", "2: must be a string");
    check(
        "organizations:\n  - {name: g, name: h}\n",
        "2: the key name appears twice",
    );
    check(
        "organizations: []\n---\na: 1\n",
        "3: must be one YAML document",
    );
    check(
        "accounts:\n  - colour: red\n",
        "2: colour: is unknown here; must be one of name, id, agency, users, iam_users",
    );
    check("accounts:\n  - id: x\n", "2: name: is mandatory");
    check("accounts: *a\n", "1: the alias has no preceding anchor");
    check(
        "organizations: [{name: g, permissions: [{user: u, auth: x}]}]",
        "1: must be a whole number",
    );
}

#[test]
fn bytes_that_are_not_utf_8_have_their_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("seed.yaml");
    std::fs::write(&path, b"# \xc3\xa4\naccounts:\n  - name: \xff\n").expect("written");
    let error = read(&SeedSource::File(path), "r1")
        .expect_err("refused")
        .to_string();
    assert!(
        error.ends_with("seed.yaml:3: the file must be UTF-8"),
        "{error}"
    );
}

#[test]
fn an_input_that_has_no_end_is_given_up() {
    let read = |most| super::file::read_input(std::io::repeat(b'#').take(10), most);
    assert_eq!(read(10).expect("read").len(), 10);
    let error = read(9).expect_err("refused").to_string();
    assert_eq!(error, "a seed must have at most 9 bytes");
}

#[test]
fn what_the_api_refuses_is_refused_where_a_seed_describes_it() {
    let check = |text: &str, line: u64, part: &str| {
        let error = read_text(text).expect_err("refused").to_string();
        assert!(error.contains(&format!("seed.yaml:{line}: ")), "{error}");
        assert!(error.contains(part), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    };
    let repository = "organizations[0].repositories[0]";
    let of_repository = |rest: &str, part: &str| {
        let text = format!(
            "accounts: [{{name: partner, users: [{{name: dev}}]}}]
regions: [{{name: r2, listen: '127.0.0.1:0'}}]
organizations:
  - name: g
    repositories:
      - name: r
        {rest}
"
        );
        check(&text, 7, &format!("{repository}.{part}"));
    };
    of_repository("creator: nobody", "creator: must be a user of the account");
    of_repository("creator: dev", "creator: must be a user of the account");
    for (rest, part) in [
        ("{access_domain: x}", "access_domain: must be an account"),
        (
            "{access_domain: swr-emulator}",
            "access_domain: must be another",
        ),
        ("{}", "access_domain: is mandatory"),
        ("{access_domain: partner, permit: write}", "permit: must be"),
        (
            "{access_domain: partner, deadline: soon}",
            "deadline: must be",
        ),
        (
            "{access_domain: partner, colour: red}",
            "colour: is not a field",
        ),
        (
            "{access_domain: partner, creator: dev}",
            "creator: must be a user",
        ),
        (
            "{access_domain: partner, creator: 1}",
            "creator: must be a string",
        ),
    ] {
        of_repository(&format!("shares: [{rest}]"), &format!("shares[0].{part}"));
    }
    of_repository(
        "shares: [{access_domain: partner}, {access_domain: partner}]",
        "shares[1].access_domain: must not appear twice",
    );
    for (rest, part) in [
        (
            "remoteRegionId: r3",
            "remoteRegionId: must be the home region or",
        ),
        (
            "remoteRegionId: r1",
            "remoteRegionId: must not be the repository's",
        ),
        (
            "remoteRegionId: r2, syncAuto: 'x'",
            "syncAuto: must be true or false",
        ),
        ("remoteRegionId: r2, auto: true", "auto: is not a field"),
    ] {
        let rest = format!("sync: [{{remoteNamespace: g, {rest}}}]");
        of_repository(&rest, &format!("sync[0].{part}"));
    }
    let task = "{remoteRegionId: r2, remoteNamespace: g}";
    let twice = "sync[1].remoteNamespace: must not appear twice";
    of_repository(&format!("sync: [{task}, {task}]"), twice);
    let rule = "template: tag_rule, params: {num: 1}, tag_selectors: []";
    for (rest, part) in [
        ("algorithm: and, rules: []", "algorithm: must be"),
        ("algorithm: or, rules: []", "rules: must contain a rule"),
        ("algorithm: or, colour: red", "colour: is not a field"),
        (
            "algorithm: or, rules: [{template: tag_rule, params: {num: 0}, tag_selectors: []}]",
            "num: must be a whole number",
        ),
        (
            "algorithm: or, rules: [{template: tag_rule, params: {days: 1}, tag_selectors: []}]",
            "rules[0].params.days: is not a field",
        ),
        (
            &format!("algorithm: or, rules: [{{{rule}, more: 1}}]"),
            "rules[0].more: is not a field",
        ),
        (
            &format!("algorithm: or, rules: [{{{rule}}}]")
                .replace("[]", "[{kind: label, pattern: v1, colour: red}]"),
            "rules[0].tag_selectors[0].colour: is not a field",
        ),
    ] {
        of_repository(
            &format!("retention: {{{rest}}}"),
            &format!("retention.{part}"),
        );
    }
    for (rest, part) in [
        ("name: 1a", "name: must have 1 to 64"),
        ("name: dev", "name: must be unique in the account"),
        ("name: a, id: ''", "id: must not be empty"),
        ("name: a, id: dev-id", "id: must be unique"),
        ("name: a, phone: '1'", "phone: must be given together"),
        ("name: a, password: abc123", "password: is not a field"),
        ("name: a, enabled: 'no'", "enabled: must be true or false"),
    ] {
        let text = format!(
            "accounts:\n  - name: a\n    users: [{{name: dev, id: dev-id}}]\n    iam_users: [{{{rest}}}]\n"
        );
        check(&text, 4, &format!("accounts[0].iam_users[0].{part}"));
    }
    for (rest, part) in [
        ("{user: x, auth: 3}", "user: must be a user of the account"),
        (
            "{user: x, id: dev-id, auth: 3}",
            "user: must be the name of the user",
        ),
        ("{user: dev, id: '', auth: 3}", "id: must not be empty"),
        ("{user: dev, auth: 0}", "auth: must be 7"),
    ] {
        let text = format!(
            "accounts: [{{name: a, users: [{{name: boss}}, {{name: dev, id: dev-id}}]}}]
organizations:\n  - {{name: g, account: a, permissions: [{rest}]}}\n"
        );
        check(&text, 3, &format!("organizations[0].permissions[0].{part}"));
    }
    let workload = "clusters: [{name: c, namespaces: [{name: n, deployments: [
  {name: w, containers: [{name: c, image: i}], fail: {status: 200, times: 1}}]}]}]";
    check(
        workload,
        2,
        "status: must be a whole number from 400 to 599",
    );
}

#[test]
fn who_made_something_is_who_made_what_holds_it_unless_the_file_says_otherwise() {
    let trigger = "action: update, app_type: deployments, application: a, cluster_ns: d, \
                   trigger_type: all, condition: '.*', enable: 'true'";
    let (_, seed) = read_text(&format!(
        "accounts: [{{name: a, users: [{{name: one}}, {{name: two}}, {{name: three}}]}}]
organizations:
  - name: g
    account: a
    creator: two
    permissions: [{{user: two, auth: 0}}]
    repositories:
      - {{name: r, triggers: [{{name: t, {trigger}}}]}}
      - {{name: s, creator: three, triggers: [{{name: t, {trigger}}}, {{name: u, creator: one, {trigger}}}]}}
"
    ))
    .expect("accepted");
    let [group] = &seed.namespaces[..] else {
        panic!("one organization")
    };
    assert_eq!((&*group.creator.name, group.creator_level), ("two", None));
    let makers = group.repositories.iter().map(|repository| {
        let triggers = repository.triggers.iter();
        let triggers: Vec<_> = triggers.map(|trigger| &*trigger.creator.name).collect();
        (&*repository.creator.name, triggers)
    });
    let expected = [("two", vec!["two"]), ("three", vec!["three", "one"])];
    assert_eq!(makers.collect::<Vec<_>>(), expected);
}
