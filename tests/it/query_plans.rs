//! How SQLite runs every statement of the source: by an index, and with no more work than what it
//! shows. What grows with more than that stands in [`ALLOWED`], with the reason.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use swr_emulator::internal::Db;

use crate::support::sources;

/// Texts that a statement is put together of by code, by file and name. All that the code can
/// choose stand here.
const CHOICES: &[(&str, &str, &[&str])] = &[
    (
        "tag/store.rs",
        "column",
        &["t.id", "t.name", "t.updated_at"],
    ),
    ("tag/store.rs", "direction", &["ASC", "DESC"]),
    ("tag/store.rs", "filter", &["", "AND instr(t.name, ?2) > 0"]),
    (
        "tag/store.rs",
        "rest",
        &[
            "",
            "AND {column} >= ?3 AND ({column} > ?3 OR t.id > ?4)",
            "AND {column} <= ?3 AND ({column} < ?3 OR t.id > ?4)",
        ],
    ),
    ("sync/store.rs", "direction", &["ASC", "DESC"]),
    ("permission/store.rs", "table", &["namespace_permissions"]),
    ("permission/store.rs", "column", &["namespace_id"]),
    (
        "repository/store.rs",
        "column",
        &[
            "r.id",
            "r.name",
            "r.updated_at",
            "(SELECT count(*) FROM tags t WHERE t.repository_id = r.id)",
            "n.name",
            "r.is_public",
            "a.name",
        ],
    ),
    ("repository/store.rs", "direction", &["ASC", "DESC"]),
    (
        "repository/store.rs",
        "is_shared",
        &["FALSE", "EXISTS ({SHARE} AND {COUNTS})"],
    ),
    (
        "repository/store.rs",
        "is_in",
        &[
            "{VISIBLE}",
            "{VISIBLE} AND EXISTS ({SHARE})",
            "EXISTS ({SHARE} AND s.account_id = ?2)",
        ],
    ),
    (
        "repository/store.rs",
        "condition",
        &["{FROM} {WHERE} AND {is_in} AND (?10 IS NULL OR {is_shared} = ?10)"],
    ),
];

/// Steps that read more than what is shown, by file, a part of the statement, and how the step
/// begins; and why that may be.
const ALLOWED: &[(&str, &str, &str, &str)] = &[
    (
        "account/store.rs",
        "count(DISTINCT n.id)",
        "USE TEMP B-TREE",
        "it counts the organizations of an account",
    ),
    (
        "account/store.rs",
        "count(DISTINCT r.id)",
        "USE TEMP B-TREE",
        "it counts the repositories of an account",
    ),
    (
        "account/store.rs",
        "GROUP BY digest",
        "USE TEMP B-TREE",
        "a report adds up the manifests of an account",
    ),
    (
        "account/store.rs",
        "GROUP BY b.digest",
        "USE TEMP B-TREE",
        "a report adds up the blobs of an account",
    ),
    (
        "account/store.rs",
        "GROUP BY day",
        "USE TEMP B-TREE",
        "a report tells it by day",
    ),
    (
        "auth/token.rs",
        "FROM tokens",
        "SCAN tokens",
        "once, at the start",
    ),
    (
        "iam/user/store.rs",
        "ORDER BY rowid",
        "SCAN iam_users",
        "once, at the start",
    ),
    (
        "cce/store.rs",
        "FROM clusters",
        "SCAN clusters",
        "an instance has few clusters",
    ),
    (
        "cce/store.rs",
        "ORDER BY id <> ?1",
        "USE TEMP B-TREE",
        "of two clusters at most",
    ),
    (
        "trigger/store.rs",
        "SELECT DISTINCT app_type",
        "SCAN triggers",
        "the doctor looks at all of them",
    ),
    (
        "trigger/store.rs",
        "SELECT DISTINCT app_type",
        "USE TEMP B-TREE",
        "the doctor looks at a thousand places",
    ),
    (
        "workload/store.rs",
        "FROM workloads ORDER BY id",
        "SCAN workloads",
        "the doctor looks at the first thousand",
    ),
    (
        "db/mod.rs",
        "sqlite_schema",
        "SCAN sqlite_schema",
        "the tables of the schema",
    ),
    (
        "engine/store.rs",
        "FROM firings",
        "SCAN firings USING COVERING INDEX",
        "it is about all that wait",
    ),
    (
        "engine/store.rs",
        " AS has_agency",
        "CORRELATED",
        "three searches in an index for each firing of a transaction",
    ),
    (
        "engine/rollout/store.rs",
        "OR EXISTS",
        "SCAN trigger_history USING COVERING INDEX",
        "an index of nothing but rollouts in progress",
    ),
    (
        "engine/rollout/store.rs",
        "AS has_image",
        "CORRELATED",
        "a search for each firing whose rollout ends",
    ),
    (
        "engine/pushes.rs",
        "CROSS JOIN namespaces",
        "SCAN p",
        "the newest pushes of all",
    ),
    (
        "engine/pushes.rs",
        "AS fired",
        "CORRELATED",
        "two searches in an index for each push of a transaction, while somebody listens",
    ),
    (
        "workload/store.rs",
        "CROSS JOIN workloads",
        "SCAN r",
        "the newest rollouts of all",
    ),
    (
        "engine/history.rs",
        "WITH ends",
        "CORRELATED",
        "a trigger keeps 100 entries",
    ),
    (
        "workload/store.rs",
        "WITH ends",
        "CORRELATED",
        "a workload keeps 1000 rollouts",
    ),
    (
        "engine/history.rs",
        "AS is_open",
        "CORRELATED",
        "one trigger at one push",
    ),
    (
        "namespace/store.rs",
        "FROM namespaces",
        "CORRELATED",
        "what an organization shows; the quota bounds them",
    ),
    (
        "permission/store.rs",
        "ORDER BY id",
        "USE TEMP B-TREE",
        "all permissions of one organization or image",
    ),
    (
        "registry/token/store.rs",
        "signing_key",
        "SCAN signing_key",
        "one row",
    ),
    (
        "image/store/garbage.rs",
        "DELETE FROM repository_blobs",
        "SCAN repository_blobs",
        "the collector, once a minute",
    ),
    (
        "image/store/garbage.rs",
        "DELETE FROM repository_blobs",
        "CORRELATED",
        "the collector, once a minute",
    ),
    (
        "image/store/garbage.rs",
        "DELETE FROM blobs",
        "CORRELATED",
        "the collector, once a minute",
    ),
    (
        "image/store/blob_files.rs",
        "blob_files",
        "SCAN blob_files",
        "one row",
    ),
    (
        "image/store/blob_files.rs",
        "SELECT value FROM json_each",
        "CORRELATED",
        "a search for each of some files",
    ),
    (
        "image/store/referrers.rs",
        "AS so_far",
        "USE TEMP B-TREE",
        "of the page",
    ),
    (
        "image/store/put.rs",
        "SELECT d.key FROM json_each",
        "CORRELATED",
        "a search for each part of an index",
    ),
    (
        "repository/store.rs",
        "FROM repositories WHERE namespace_id",
        "CORRELATED",
        "the permissions and shares of one repository",
    ),
    (
        "repository/store.rs",
        "r.description",
        "CORRELATED",
        "the names of all tags, which a repository shows, and its size",
    ),
    (
        "repository/store.rs",
        "r.description",
        "USE TEMP B-TREE FOR json_group_array",
        "the names of all tags, which a repository shows",
    ),
    (
        "repository/store.rs",
        "r.description",
        "USE TEMP B-TREE",
        "of the page",
    ),
    (
        "repository/store.rs",
        "LIMIT +?12",
        "USE TEMP B-TREE",
        "of the repositories that a user sees, by a column of any of three tables",
    ),
    (
        "repository/store.rs",
        "SELECT count(*) AS total",
        "CORRELATED",
        "it counts the account's repositories that a user sees",
    ),
    (
        "retention/store.rs",
        "INSERT INTO retention_histories",
        "USE TEMP B-TREE",
        "what is deleted, in its order",
    ),
    (
        "retention/store.rs",
        "retention_day",
        "SCAN retention_day",
        "one row",
    ),
    (
        "retention/store.rs",
        "FROM retentions ORDER BY id",
        "SCAN retentions",
        "all rules, once a day",
    ),
    (
        "seed/export/store.rs",
        "FROM agencies",
        "SCAN agencies",
        "an export tells all",
    ),
    (
        "seed/export/store.rs",
        "FROM namespaces",
        "SCAN namespaces",
        "an export tells all",
    ),
    (
        "seed/export/store.rs",
        "FROM namespace_permissions",
        "SCAN namespace_permissions",
        "an export tells all",
    ),
    (
        "seed/export/store.rs",
        "FROM repositories",
        "SCAN repositories",
        "an export tells all",
    ),
    (
        "seed/export/store.rs",
        "FROM repository_permissions",
        "SCAN repository_permissions",
        "an export tells all",
    ),
    (
        "seed/export/store.rs",
        "FROM retentions",
        "SCAN retentions",
        "an export tells all",
    ),
    (
        "seed/export/store.rs",
        "FROM shares",
        "SCAN shares",
        "an export tells all",
    ),
    (
        "seed/export/store.rs",
        "FROM sync_tasks",
        "SCAN sync_tasks",
        "an export tells all",
    ),
    (
        "seed/export/store.rs",
        "FROM triggers",
        "SCAN triggers",
        "an export tells all",
    ),
    (
        "seed/export/store.rs",
        "FROM workloads",
        "SCAN workloads",
        "an export tells all",
    ),
    (
        "seed/store.rs",
        "DELETE FROM",
        "SCAN ",
        "a reset deletes all",
    ),
    (
        "sharing/store.rs",
        "FROM shares s",
        "USE TEMP B-TREE",
        "all shares of one image",
    ),
    (
        "sharing/store.rs",
        "FROM accounts WHERE name",
        "SCAN accounts",
        "accounts are those of the seed file",
    ),
    (
        "sync/store.rs",
        "FROM sync_tasks",
        "USE TEMP B-TREE",
        "all tasks of one image",
    ),
    (
        "sync/store.rs",
        "FROM sync_jobs",
        "SCAN ",
        "an index of nothing but open jobs",
    ),
    ("sync/store.rs", "FROM sync_jobs", "CORRELATED", "one job"),
    (
        "tag/accessory/store.rs",
        "FROM manifests",
        "USE TEMP B-TREE",
        "of the page",
    ),
    (
        "tag/accessory/store.rs",
        "FROM manifests",
        "CORRELATED",
        "two searches in an index for each accessory of the page",
    ),
    (
        "tag/store.rs",
        "CROSS JOIN manifests",
        "USE TEMP B-TREE FOR ORDER BY",
        "of the page",
    ),
    (
        "tag/store.rs",
        "CROSS JOIN manifests",
        "USE TEMP B-TREE FOR LAST TERM",
        "of tags that changed in the same microsecond",
    ),
    (
        "tag/store.rs",
        "DELETE FROM manifests",
        "CORRELATED",
        "two searches in an index for each manifest that may go",
    ),
    (
        "trigger/store.rs",
        "AS has_history",
        "CORRELATED",
        "one trigger",
    ),
];

/// The file whose statements read and write all that there is, one database beside another.
const WHOLE: &str = "snapshot/store.rs";

/// A statement as it is run, and where it stands.
struct Statement {
    file: String,
    sql: String,
}

#[tokio::test]
async fn no_statement_reads_more_than_what_it_is_asked_for() {
    let sources: Vec<_> = sources()
        .into_iter()
        .map(|(file, code)| Source::read(file, &code))
        .collect();
    let statements: Vec<_> = sources
        .iter()
        .flat_map(|source| source.statements(&sources))
        .filter(|statement| statement.file != WHOLE)
        .collect();
    assert!(statements.len() > 150, "{} statements", statements.len());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("empty.db");
    Db::open(&path)
        .await
        .expect("a fresh database")
        .close()
        .await;
    let options = SqliteConnectOptions::new().filename(&path);
    let mut connection = options.connect().await.expect("opened");

    let mut refused = Vec::new();
    let mut used = vec![false; ALLOWED.len()];
    for statement in &statements {
        let Statement { file, sql } = statement;
        let mut allowed: Vec<_> = ALLOWED
            .iter()
            .enumerate()
            .filter(|(_, (of, part, ..))| of == file && sql.contains(part))
            .collect();
        for step in plan(&mut connection, statement).await {
            let found = allowed
                .iter()
                .position(|(_, (.., begins, _))| step.starts_with(begins));
            let Some(found) = found else {
                refused.push(format!("{file}: {step}\n    {sql}"));
                continue;
            };
            used[allowed[found].0] = true;
            // Where one sort is allowed, another one is not.
            if step.starts_with("USE TEMP B-TREE") {
                allowed.remove(found);
            }
        }
    }
    let unused = ALLOWED.iter().zip(used).filter(|(_, is_used)| !is_used);
    let unused: Vec<_> = unused.map(|(allowed, _)| allowed).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(unused.is_empty(), "no statement needs {unused:#?}");
}

/// A limit that is nothing but a parameter makes SQLite prepare the statement anew at each execution:
/// its plan could depend on the value. Behind a plus, it does not look.
#[test]
fn no_statement_is_prepared_again_for_its_limit() {
    let sources: Vec<_> = sources()
        .into_iter()
        .map(|(file, code)| Source::read(file, &code))
        .collect();
    let statements = sources
        .iter()
        .flat_map(|source| source.statements(&sources));
    let limits: Vec<_> = statements
        .filter(|statement| statement.sql.contains("LIMIT"))
        .collect();
    assert!(limits.len() > 20, "{} statements", limits.len());
    for Statement { file, sql } in limits {
        assert!(
            !sql.contains("LIMIT ?"),
            "{file}: LIMIT +? is meant in {sql}"
        );
    }
}

/// The steps of a statement's plan that do not just look something up by an index.
async fn plan(connection: &mut SqliteConnection, statement: &Statement) -> Vec<String> {
    let Statement { file, sql } = statement;
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::query(explain).fetch_all(connection).await;
    let rows = rows.unwrap_or_else(|error| panic!("{file}: {error}\n{sql}"));
    let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
    let subqueries: Vec<_> = steps
        .iter()
        .filter_map(|step| {
            let name = step
                .strip_prefix("CO-ROUTINE ")
                .or_else(|| step.strip_prefix("MATERIALIZE "));
            Some(format!("SCAN {}", name?))
        })
        .collect();
    let is_dear = |step: &String| {
        let scans = step.starts_with("SCAN ")
            && !step.contains(" VIRTUAL TABLE ")
            && *step != "SCAN CONSTANT ROW"
            && !subqueries.contains(step);
        scans
            || step.starts_with("CORRELATED ")
            || step.starts_with("USE TEMP B-TREE")
            || step.contains(" AUTOMATIC ")
    };
    let named = |step: String| {
        if step.starts_with("CORRELATED ") {
            // Its number says nothing.
            "CORRELATED SUBQUERY".to_owned()
        } else {
            step
        }
    };
    steps.into_iter().filter(is_dear).map(named).collect()
}

/// The texts of a file, but for those of its tests.
struct Source {
    file: String,
    literals: Vec<String>,
    constants: BTreeMap<String, String>,
}

impl Source {
    fn read(file: String, text: &str) -> Self {
        let tokens: TokenStream = text.parse().expect("Rust");
        let mut literals = Vec::new();
        let mut constants = BTreeMap::new();
        collect(tokens, &mut literals, &mut constants);
        Self {
            file,
            literals,
            constants,
        }
    }

    /// Its statements, each as often as its choices differ. A constant is one of this file, else of
    /// another one.
    fn statements(&self, sources: &[Self]) -> Vec<Statement> {
        let others = sources.iter().flat_map(|source| &source.constants);
        let mut constants: BTreeMap<_, _> = others.collect();
        constants.extend(&self.constants);
        let file = &self.file;
        let texts = self
            .literals
            .iter()
            .flat_map(|literal| expand(file, literal, &constants));
        let texts: Vec<_> = texts.collect();
        let texts = texts.iter().flat_map(|text| text.split(';'));
        let statements = texts.filter(|sql| {
            let first = sql.split_whitespace().next().unwrap_or_default();
            matches!(first, "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "WITH") && sql.contains(' ')
        });
        let statements = statements.map(|sql| Statement {
            file: file.clone(),
            sql: sql.to_owned(),
        });
        statements.collect()
    }
}

/// The string literals, however deep in macros, and the constants by their name.
fn collect(
    tokens: TokenStream,
    literals: &mut Vec<String>,
    constants: &mut BTreeMap<String, String>,
) {
    let mut constant = None;
    let mut before = None;
    for token in tokens {
        match &token {
            TokenTree::Ident(name) if before.as_deref() == Some("const") => {
                constant = Some(name.to_string());
            }
            TokenTree::Punct(mark) if mark.as_char() == ';' => constant = None,
            TokenTree::Group(group) => collect(group.stream(), literals, constants),
            TokenTree::Literal(literal) => {
                if let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) {
                    match constant.take() {
                        Some(name) => drop(constants.insert(name, text.value())),
                        None => literals.push(text.value()),
                    }
                }
            }
            _ => {}
        }
        before = Some(token.to_string());
    }
}

/// What a text with names in braces can become: constants of its file, and the choices of code.
/// A name stands for the same everywhere in a text.
fn expand(file: &str, text: &str, constants: &BTreeMap<&String, &String>) -> Vec<String> {
    let name = text
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let Some((name, _)) = name else {
        return vec![text.to_owned()];
    };
    let choices = CHOICES
        .iter()
        .find(|(of, choice, _)| *of == file && *choice == name);
    let values: Vec<&str> = match (constants.get(&name.to_owned()), choices) {
        (Some(value), _) => vec![value],
        (None, Some((_, _, values))) => values.to_vec(),
        // A text of another kind. As a statement it would not be SQL, and be found out.
        (None, None) => return vec![text.to_owned()],
    };
    let place = format!("{{{name}}}");
    values
        .into_iter()
        .flat_map(|value| expand(file, &text.replace(&place, value), constants))
        .collect()
}
