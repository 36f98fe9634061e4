//! Where secrets may stand.

use crate::{Row, table};

const SECRETS: &[Row] = &[
    (
        "where plugins take them",
        "name: a\nsecrets: [KEY, PASS_2]\nsteps:\n  a:\n    run: \"true\"\n    env: { K: \"${{ secrets.KEY }}\", U: \"me:${{ secrets.PASS_2 }}@\" }\n    with: { stdin: \"${{ secrets.KEY }}\" }\n  b:\n    uses: http\n    with: { url: http://a, headers: { Authorization: \"Bearer ${{ secrets.KEY }}\" } }\n",
        &[],
    ),
    (
        "not declared",
        "name: a\nsteps:\n  a: { run: \"true\", env: { K: \"${{ secrets.KEY }}\" } }\n",
        &["undefined_variable"],
    ),
    (
        "misspelt",
        "name: a\nsecrets: [API_KEY]\nsteps:\n  a: { run: \"true\", env: { K: \"${{ secrets.API_KYE }}\" } }\n",
        &["undefined_variable"],
    ),
    (
        "where a plugin takes none",
        "name: a\nsecrets: [KEY]\nsteps:\n  a: { uses: http, with: { url: \"http://a/?k=${{ secrets.KEY }}\", headers: { A: \"${{ secrets.KEY }}\" } } }\n  b: { uses: approval, with: { message: \"${{ secrets.KEY }}\" } }\n  c: { uses: llm, env: { K: \"${{ secrets.KEY }}\" }, with: { prompt: x } }\n",
        &["secret_not_allowed", "secret_not_allowed", "secret_not_allowed"],
    ),
    (
        "in keys of the workflow and of steps",
        "name: a\nsecrets: [KEY]\nenv: { K: \"${{ secrets.KEY }}\" }\nsteps:\n  a: { run: \"true\", for_each: [\"${{ secrets.KEY }}\"] }\noutputs: { k: \"${{ secrets.KEY }}\" }\n",
        &["secret_not_allowed", "secret_not_allowed", "secret_not_allowed"],
    ),
    (
        "in an expression",
        "name: a\nsecrets: [KEY]\nsteps:\n  a: { run: \"true\", if: \"secrets.KEY == 'a'\", env: { K: \"${{ secrets.KEY|upper }}\" } }\n",
        &["secret_not_allowed", "secret_not_allowed"],
    ),
    (
        "the list",
        "name: a\nsecrets: [KEY, KEY, api-key, 3, ~]\nsteps: { a: { run: \"true\" } }\n",
        &["duplicate_id", "invalid_id", "invalid_type", "invalid_type"],
    ),
    ("no list", "name: a\nsecrets: KEY\nsteps: { a: { run: \"true\" } }\n", &["invalid_type"]),
    (
        "a credential in the text",
        "name: a\nsteps: { a: { run: \"true\", env: { K: ghp_0123456789abcdefghijABCDEFGHIJ012345 } } }\n",
        &["possible_secret"],
    ),
];

#[test]
fn secrets_stand_where_they_may() {
    insta::assert_snapshot!(table(SECRETS));
}
