//! How SQLite runs every statement of the source: by an index, and with no more work than what it
//! shows. What grows with more than that stands in [`ALLOWED`], with the reason.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};
use swr_emulator::db::Db;

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

/// Steps that read more than what is asked for, by file, a part of the statement, and the step.
const ALLOWED: &[(&str, &str, &str, &str)] = &[];

/// A statement as it is run, and where it stands.
struct Statement {
    file: String,
    sql: String,
}

#[tokio::test]
async fn no_statement_reads_more_than_what_it_is_asked_for() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let statements: Vec<_> = files(&source)
        .iter()
        .flat_map(|path| statements(&source, path))
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
    let mut unused: Vec<_> = ALLOWED.iter().collect();
    for statement in &statements {
        for step in plan(&mut connection, statement).await {
            let allows = |allowed: &&(&str, &str, &str, &str)| {
                let (file, part, allowed, _) = *allowed;
                statement.file == *file && statement.sql.contains(part) && step == *allowed
            };
            unused.retain(|allowed| !allows(allowed));
            if !ALLOWED.iter().any(|allowed| allows(&allowed)) {
                let Statement { file, sql } = statement;
                refused.push(format!("{file}: {step}\n    {sql}"));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(unused.is_empty(), "no statement needs {unused:#?}");
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
    let named = |step: String| match step.starts_with("CORRELATED ") {
        // Its number says nothing.
        true => "CORRELATED SUBQUERY".to_owned(),
        false => step,
    };
    steps.into_iter().filter(is_dear).map(named).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The statements of a file, but for those of its tests, each as often as its choices differ.
fn statements(source: &Path, path: &Path) -> Vec<Statement> {
    let file = path
        .strip_prefix(source)
        .expect("within")
        .to_str()
        .expect("UTF-8");
    let text = std::fs::read_to_string(path).expect("read");
    let text = text
        .split("#[cfg(test)]\nmod tests")
        .next()
        .expect("a part");
    let tokens: TokenStream = text.parse().expect("Rust");
    let mut literals = Vec::new();
    let mut constants = BTreeMap::new();
    collect(tokens, &mut literals, &mut constants);
    let mut found = Vec::new();
    for literal in literals {
        for sql in expand(file, &literal, &constants) {
            let first = sql.split_whitespace().next().unwrap_or_default();
            let is_statement = matches!(first, "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "WITH")
                && sql.contains(' ');
            if is_statement {
                let file = file.to_owned();
                found.push(Statement { file, sql });
            }
        }
    }
    found
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
fn expand(file: &str, text: &str, constants: &BTreeMap<String, String>) -> Vec<String> {
    let name = text
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let Some((name, _)) = name else {
        return vec![text.to_owned()];
    };
    let choices = CHOICES
        .iter()
        .find(|(of, choice, _)| *of == file && *choice == name);
    let values: Vec<&str> = match (constants.get(name), choices) {
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
