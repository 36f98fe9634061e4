//! Table T: expressions that are wrong, and where.

use crate::valid::parsed;
use crate::{Row, table};

const ROWS: &[Row] = &[
    (
        "T01 syntax",
        "name: a\nsteps:\n  a:\n    uses: noop\n    with:\n      one: ${{ inputs.\n      two: \"x ${{ 1 + }}\"\n      three: |\n        first\n          second ${{ 'a }}\n        third\n      four: ok ${{ 1 }} then ${{ 2 2 }}\n",
        &["template.syntax", "template.syntax", "template.syntax", "template.syntax"],
    ),
    (
        "T01 in a block",
        "name: a\ninputs: { x: { type: string } }\nsteps:\n  a:\n    uses: llm\n    with:\n      prompt: |\n        One.\n        Two ${{ inputs.x }} and ${{ inputs.y }}.\n\n          Three ${{ steps.b.c }}\n",
        &["undefined_variable", "undefined_variable"],
    ),
    (
        "T02 Y21 what is not there",
        "name: a\ninputs: { count: { type: integer } }\nenv: { REGION: x }\nsteps:\n  log: { run: git log, env: { A: \"${{ env.REGOIN }}\" } }\n  notes:\n    uses: llm\n    needs: log\n    with: { prompt: \"${{ inputs.cuont }} ${{ nope }} ${{ steps.log.stdout }} ${{ steps.lgo.stdout }}\" }\n  more:\n    uses: llm\n    needs: notes\n    with: { prompt: \"${{ steps.notes.txet }}\" }\n    if: sucess() and inputs.count|uper is evn\n  last: { uses: noop, needs: more, with: \"${{ steps.more }} ${{ steps.more.status }} ${{ run.nmae }}\" }\noutputs: { x: \"${{ steps.nots.text }}\" }\n",
        &[
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
        ],
    ),
    (
        "Y20 not an ancestor",
        "name: a\nsteps:\n  a: { run: x }\n  b: { run: x, env: { A: \"${{ steps.a.stdout }}\" } }\n  c: { run: x, needs: a }\n  d: { run: x, needs: c, env: { A: \"${{ steps.a.stdout }}\", B: \"${{ steps.b.stdout }}\" } }\n  e: { run: x, if: steps.e.stdout == '' }\n  f: { uses: noop, with: { x: [1, { y: \"${{ steps.d.stdout }}\" }] } }\nenv: { A: \"${{ steps.a.stdout }}\", B: \"${{ env.A }}\" }\n",
        &[
            "output_not_available",
            "output_not_available",
            "output_not_available",
            "output_not_available",
            "output_not_available",
            "output_not_available",
        ],
    ),
    (
        "T06 depth and T04 length",
        "name: a\nsteps:\n  a: { run: x, if: ((((((((((((((((((((((((((((((((((((((((1)))))))))))))))))))))))))))))))))))))))) }\n  b: { run: x, if: \"'x' * 100000000\" }\n  c: { run: x, if: \"not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not true\" }\n",
        &["template.depth", "type_mismatch", "template.depth"],
    ),
    (
        "T07 ways out",
        "name: a\nsteps:\n  a: { uses: noop, with: [\"${{ ''.__class__() }}\", \"${{ self }}\", \"${{ loop.index }}\", \"${{ env('HOME') }}\", \"${{ include('/etc/passwd') }}\", \"${{ secrets.x }}\", \"${{ item }}\"] }\n",
        &[
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "secret_not_allowed",
            "undefined_variable",
        ],
    ),
    (
        "T09 T10 expressions in scripts",
        "name: a\ninputs: { x: { type: string } }\nsteps:\n  a: { run: \"echo ${{ inputs.x }}\" }\n  b:\n    run: |\n      set -e\n      echo ${{ inputs.x }}\n  c: { uses: script, with: { run: \"echo ${{ inputs.x }}\" } }\n",
        &["expression_in_run", "expression_in_run", "expression_in_run"],
    ),
    (
        "conditions",
        "name: a\ninputs: { x: { type: boolean } }\nsteps:\n  a: { run: x, if: inputs.x && inputs.y }\n  b: { run: x, if: \"!inputs.x || 1\" }\n  c: { run: x, if: inputs.x = 1 }\n  d: { run: x, if: yes }\n  e: { run: x, if: 5 }\n  f: { run: x, if: \"'text'\" }\n  g: { run: x, if: \"${{ inputs.x }} and true\" }\n  h: { run: x, if: \"${{ inputs.x\" }\n  i: { run: x, if: \"\" }\n  j:\n    run: x\n    if: |\n      inputs.x\n      and inputs.z\n",
        &[
            "template.syntax",
            "template.syntax",
            "template.syntax",
            "template.syntax",
            "undefined_variable",
            "invalid_type",
            "type_mismatch",
            "template.syntax",
            "template.syntax",
            "template.syntax",
            "undefined_variable",
        ],
    ),
    (
        "T11 there are no patterns",
        "name: a\ninputs: { x: { type: string } }\nsteps:\n  a: { run: x, if: \"inputs.x | regex_search('(a+)+$')\" }\n  b: { run: x, if: \"inputs.x is match('(a+)+$')\" }\n",
        &["undefined_variable", "undefined_variable"],
    ),
    (
        "Y22 never true",
        "name: a\nsteps:\n  a: { run: x, if: false }\n  b: { run: x, if: 1 > 2 }\n  c: { run: x, if: success() and not success() }\n  d: { run: x, if: \"${{ failure() }}\" }\n",
        &["never_true", "never_true", "never_true"],
    ),
];

#[test]
fn expressions() {
    insta::assert_snapshot!(table(ROWS));
}

#[test]
fn statements_are_text() {
    let text = "{% include '/etc/passwd' %}{% macro m() %}{{ m() }}{% endmacro %}{# x #}{{ inputs.x }}";
    let workflow = parsed(&format!("name: a\nsteps: {{ a: {{ uses: noop, with: \"{text}\" }} }}\n"));
    assert_eq!(workflow.steps[0].with.as_constant(), Some(&text.into()));
}
