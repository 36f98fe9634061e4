//! Table Y: workflows that are wrong.

use orchestrator_core::spec::decode;

use crate::{Row, table, told};

const YAML: &[Row] = &[
    ("Y01 empty", "", &["spec.empty"]),
    ("Y01 only comments", "# nothing\n\n# here\n", &["spec.empty"]),
    ("Y01 only a document marker", "---\n", &["spec.empty"]),
    ("Y01 null", "null\n", &["spec.empty"]),
    ("Y02 two documents", "name: a\nsteps: { x: { run: x } }\n---\nname: b\n", &["yaml.multiple_documents"]),
    ("Y03 tab", "name: a\nsteps:\n\tx:\n", &["yaml.syntax"]),
    ("Y03 unclosed quote", "name: \"a\nsteps: {}\n", &["yaml.syntax"]),
    ("Y03 bad indent", "name: a\n  steps:\n x: 1\n", &["yaml.syntax"]),
    ("Y03 unclosed brace", "name: a\nsteps: { x: { run: y }\n", &["yaml.syntax"]),
    (
        "Y05 duplicate key",
        "name: a\nname: b\nsteps:\n  x:\n    run: a\n    env: { A: 1, A: 2 }\n    run: b\n",
        &["yaml.duplicate_key", "yaml.duplicate_key", "yaml.duplicate_key"],
    ),
    ("Y06 recursive alias", "name: a\nsteps: &s\n  x: *s\n", &["yaml.budget"]),
    ("Y06 unknown alias", "name: a\nsteps: *nothing\n", &["yaml.unknown_anchor"]),
    (
        "Y09 tags",
        "name: !env HOME\ndescription: !!python/object x\nsteps: !include /etc/passwd\n",
        &["yaml.tag_forbidden", "yaml.tag_forbidden", "yaml.tag_forbidden"],
    ),
    (
        "Y10 merge key",
        "name: a\nsteps:\n  x: &x { run: a }\n  y:\n    <<: *x\n    needs: x\n",
        &["missing_field", "yaml.merge_unsupported"],
    ),
    ("complex key", "name: a\nsteps:\n  [a, b]: { run: x }\n", &["yaml.complex_key"]),
    ("expression as a key", "name: a\nsteps:\n  ${{ x }}: { run: x }\n", &["invalid_id"]),
    (
        "unquoted expression in braces",
        "name: a\nsteps: { x: { run: y, env: { A: ${{ inputs.x }} } } }\n",
        &["yaml.syntax"],
    ),
    ("a colon in a text", "name: a\nsteps:\n  a:\n    run: curl -H 'A: b'\n", &["yaml.syntax"]),
    ("escaped NUL", "name: \"a\\0b\"\nsteps: { x: { run: x } }\n", &["invalid_value"]),
    (
        "Y11 texts that are none",
        "name: 1e3\ndescription: true\nsteps:\n  a: { run: 12 }\n  b: { uses: ~ }\n  c: { run: x, env: { A: [], B: null } }\n",
        &["invalid_type", "invalid_type", "invalid_type", "invalid_type", "invalid_type", "invalid_type"],
    ),
    (
        "Y11 words and times are texts",
        "name: no\ndescription: 12:30:00\ninputs: { a: { type: string, default: on }, b: { type: string, default: 2027-01-31 } }\nsteps: { a: { run: y, env: { A: off } } }\n",
        &[],
    ),
    ("Y11 octal", "name: 0777\nsteps: { a: { run: x } }\n", &["number_range"]),
    (
        "Y33 numbers",
        "name: a\ninputs:\n  a: { type: integer, default: 18446744073709551616 }\n  b: { type: number, default: 1e400 }\n  c: { type: number, default: .nan }\n  d: { type: integer, default: 007 }\nsteps: { a: { run: x } }\n",
        &["number_range", "number_range", "number_range", "number_range"],
    ),
    (
        "Y33 other spellings",
        "name: a\ninputs:\n  a: { type: integer, default: -0 }\n  b: { type: integer, default: 1_000 }\n  c: { type: integer, default: 9223372036854775808 }\n  d: { type: integer, default: 0x1F }\n  e: { type: integer, default: 0x }\nsteps: { a: { run: x } }\n",
        &["invalid_type", "invalid_type"],
    ),
];

const STRUCTURE: &[Row] = &[
    (
        "Y12 unknown keys",
        "nmae: a\nsteps:\n  a:\n    run: x\n    timeuot: 5s\n    Retry: {}\n    elephant: 1\n    max-attempts: 3\n",
        &["unknown_field", "unknown_field", "unknown_field", "unknown_field", "unknown_field"],
    ),
    (
        "Y12 words of other languages",
        "name: a\njobs: {}\nbudget: {}\nsteps:\n  a: { command: x, depends_on: b }\n  b: { run: x, when: true }\n",
        &["unknown_field", "not_supported_yet", "unknown_field", "unknown_field", "unknown_field"],
    ),
    (
        "Y12 dashes and underscores",
        "name: a\non_failure: {}\nsteps:\n  a: { run: x, continue_on_error: true, for-each: [] }\n",
        &["unknown_field", "unknown_field", "unknown_field"],
    ),
    (
        "Y12 keys of another level",
        "name: a\nretry: {}\nsteps:\n  a: { run: x, inputs: {} }\n",
        &["unknown_field", "unknown_field"],
    ),
    (
        "keys that come later, in a workflow",
        "name: a\nbudget: 1\nevidence: x\nlabels: {}\npaths: []\npriority: 1\nsandbox: none\nsteps: { a: { run: x } }\n",
        &["not_supported_yet"; 6],
    ),
    (
        "keys that come later, in a step",
        "name: a\nsteps:\n  a:\n    run: x\n    budget: 1\n    priority: 1\n",
        &["not_supported_yet"; 2],
    ),
    (
        "paths",
        "name: a\nsteps:\n  a: { run: x, paths: /etc }\n  b: { run: x, paths: [src, '../x', 'a**', 1] }\n  c: { run: x, paths: { write: '[', reads: [] } }\n  d: { run: x, paths: { workspace: site } }\n  e: { run: x, paths: { write: src, workspace: '' } }\n  f: { run: x, paths: { write: '${{ steps.g.stdout }}' } }\n",
        &[
            "invalid_value",
            "invalid_value",
            "invalid_value",
            "invalid_type",
            "invalid_value",
            "unknown_field",
            "missing_field",
            "invalid_value",
            "undefined_variable",
        ],
    ),
    (
        "a bound of runs",
        "name: a\nconcurrency: { limit: 0, on_full: stop, group: k }\nsteps:\n  a: { run: x }\n",
        &["out_of_range", "unknown_field"],
    ),
    (
        "what the key of a workflow sees",
        "name: a\nsecrets: [c]\nenv: { E: e }\nconcurrency: { key: \"${{ steps.a.stdout }}-${{ inputs.b }}-${{ item }}-${{ secrets.c }}-${{ env.F }}-${{ env.E }}-${{ run.id }}-${{ run.status }}\" }\nsteps:\n  a: { run: x }\n",
        &[
            "output_not_available",
            "undefined_variable",
            "undefined_variable",
            "secret_not_allowed",
            "undefined_variable",
            "undefined_variable",
        ],
    ),
    ("a workflow without a key", "name: a\nconcurrency: 1\nsteps: { a: { run: x } }\n", &["invalid_type"]),
    (
        "the key of a workflow and of a step of it",
        "name: a\nconcurrency: deploy\nsteps:\n  a: { run: x, concurrency: { key: deploy, limit: 2 } }\n  b: { run: x, concurrency: other }\n",
        &["invalid_value"],
    ),
    (
        "rates",
        "name: a\nsteps:\n  a: { run: x, rate: { key: k, limit: 0, per: 1m } }\n  b: { run: x, rate: { key: '', limit: 1, per: 10ms } }\n  c: { run: x, rate: 10/1m }\n  d: { run: x, rate: [] }\n  e: { run: x, rate: { key: k, max: 3, interval: 1m } }\n  f: { run: x, throttle: { key: k } }\n  g: { run: x, rate: [{ key: k, limit: 1, per: 60 }, { limit: 2 }] }\n  h: { run: x, concurrency: { key: k, per: 1m } }\n  i: { run: x, rate: { key: k, limit: 1, per: 32d } }\n",
        &[
            "out_of_range",
            "invalid_value",
            "out_of_range",
            "invalid_type",
            "out_of_range",
            "unknown_field",
            "unknown_field",
            "unknown_field",
            "invalid_duration",
            "missing_field",
            "missing_field",
            "unknown_field",
            "out_of_range",
        ],
    ),
    (
        "queues and labels",
        "name: a\nqueue: gpu\nsteps:\n  a: { run: x, queue: two words }\n  b: { run: x, queue: '', labels: [eu] }\n  c: { run: x, queue: [gpu], labels: { zone: { a: b }, '': x, y: '${{ inputs.x }}' } }\n  d: { uses: workflow, with: { workflow: other }, queue: gpu, labels: { a: b } }\n",
        &[
            "unknown_field",
            "invalid_value",
            "invalid_value",
            "invalid_type",
            "invalid_type",
            "invalid_type",
            "out_of_range",
            "invalid_value",
            "unknown_plugin",
            "conflicting_fields",
            "conflicting_fields",
        ],
    ),
    (
        "permissions",
        "name: a\npermissions: { netwrok: [], network: ['localhost', '*.x:1', '${{ inputs.h }}:80', 10.0.0.1/8:443, 'http://a:1', 'a:0', 5, 127.1:80] }\nsteps:\n  a: { uses: noop, permissions: { network: localhost:80 } }\n  b: { uses: noop, permissions: [] }\n  c: { uses: noop, permissions: {} }\n  d: { uses: noop, permissions: { hosts: [] } }\n",
        &[
            "unknown_field",
            "invalid_value",
            "invalid_value",
            "invalid_value",
            "invalid_value",
            "invalid_value",
            "invalid_value",
            "invalid_type",
            "invalid_value",
            "invalid_type",
            "invalid_type",
            "unknown_field",
        ],
    ),
    (
        "deadlines",
        "name: a\ndeadline: soon\ndefaults: { deadline: 0s }\nsteps:\n  a: { uses: noop, deadline: 10 }\n  b: { uses: noop, deadline: { after: 1h } }\n  c: { uses: noop, deadlnie: 1h }\n",
        &["invalid_duration", "invalid_duration", "invalid_duration", "invalid_type", "unknown_field"],
    ),
    (
        "what undoes a step",
        "name: a\nsteps:\n  a: { uses: noop, compensate: {} }\n  b: { uses: noop, compensate: { uses: noop, needs: a } }\n  c: { uses: noop, compensate: { uses: noop, with: '${{ steps.a.x }}' } }\n  d: { uses: noop, with: '${{ self.x }}' }\n  e: { uses: noop, compensate: { uses: noop, with: '${{ item }}' } }\n  f: { uses: noop, needs: a.compensate }\n  g: { uses: noop, if: run.status == 'failed' }\n  h: { uses: noop, for_each: [1], compensate: { uses: noop, with: ['${{ item }}', '${{ self }}', '${{ run.error }}'] } }\n",
        &[
            "missing_field",
            "unknown_field",
            "output_not_available",
            "undefined_variable",
            "undefined_variable",
            "invalid_dependency",
            "undefined_variable",
        ],
    ),
    (
        "what comes after the steps",
        "name: a\nsteps:\n  a: { uses: noop, needs: tidy }\n  b: { uses: noop, with: '${{ steps.tell.x }}' }\n  w: { uses: noop }\nfinally:\n  tidy: { uses: noop, needs: b }\n  w: { uses: noop }\n  last: { uses: noop, compensate: { uses: noop } }\n  ok: { uses: noop, with: ['${{ steps.a.x }}', '${{ steps.tell.x }}', '${{ run.status }}'] }\n  odd: { uses: noop, with: '${{ steps.ok.x }}' }\non-failure:\n  tell: { uses: noop, with: '${{ steps.tidy.x }}' }\noutputs: { x: '${{ run.status }}' }\n",
        &[
            "invalid_dependency",
            "output_not_available",
            "invalid_dependency",
            "duplicate_id",
            "conflicting_fields",
            "output_not_available",
            "output_not_available",
            "undefined_variable",
        ],
    ),
    (
        "no steps after the steps",
        "name: a\nsteps: { a: { uses: noop } }\nfinally: {}\non-failure: []\n",
        &["missing_field", "invalid_type"],
    ),
    (
        "what a step runs once for each of",
        "name: a\nsteps:\n  a: { uses: noop, for_each: x }\n  b: { uses: noop, for_each: 3 }\n  c: { uses: noop, strategy: {} }\n  d: { uses: noop, strategy: { matrix: {} } }\n  e: { uses: noop, strategy: { matrix: { v: 1 } } }\n  f: { uses: noop, for_each: [1], strategy: { matrix: { v: [1] } } }\n  g: { uses: noop, for_each: [1], strategy: { max-parallel: 0 } }\n  h: { uses: noop, for_each: [1], strategy: { max_parallel: 2 } }\n",
        &[
            "invalid_type",
            "invalid_type",
            "missing_field",
            "missing_field",
            "invalid_type",
            "conflicting_fields",
            "out_of_range",
            "unknown_field",
        ],
    ),
    (
        "lists that are none",
        "name: a\ninputs: { host: { type: string }, some: { type: any }, many: { type: array, default: [] }, n: { type: integer, default: 1 } }\nenv: { X: y }\nsteps:\n  a: { uses: script, with: { run: x }, for_each: '${{ inputs.host }}' }\n  b: { uses: script, with: { run: x }, for_each: '${{ inputs.some }}' }\n  c: { uses: script, with: { run: x }, for_each: '${{ inputs.many }}' }\n  d: { uses: script, with: { run: x }, strategy: { matrix: { ok: [1], n: '${{ inputs.n }}' } } }\n  e: { uses: script, with: { run: x } }\n  f: { uses: noop, needs: e, for_each: '${{ steps.e.stdout }}' }\n  g: { uses: noop, needs: e, for_each: '${{ steps.e.stdout|lines }}' }\n  h: { uses: noop, needs: e, for_each: '${{ steps.e.more }}' }\n  i: { uses: noop, needs: e, for_each: '${{ steps.e.exit_code }}' }\n  j: { uses: noop, for_each: '${{ env.X }}' }\n",
        &["type_mismatch"; 5],
    ),
    (
        "fields that items have not",
        "name: a\nsteps:\n  a: { uses: llm, with: { prompt: x }, for_each: [1] }\n  b: { uses: noop, needs: a, with: \"${{ steps.a.items|map(attribute='output.txet')|list }}\" }\n  c: { uses: noop, needs: a, with: \"${{ steps.a.items|selectattr('output.txet')|map(attribute='text')|list }}\" }\n  d: { uses: noop, needs: a, if: \"'x' in steps.a.items|map(attribute='outptu')\" }\n  e: { uses: noop, needs: a, with: \"${{ steps.a.items|selectattr('status', 'equalto', 'failed')|map(attribute='output.text')|join(',') }}\" }\n  f: { uses: noop, needs: a, with: \"${{ steps.a.items|map(attribute='output')|map(attribute='txet')|list }}\" }\noutputs:\n  all: \"${{ steps.a.items|map(attribute='output.status') }}\"\n",
        &["undefined_variable"; 5],
    ),
    (
        "items where there are none",
        "name: a\nsteps:\n  a: { uses: noop, with: '${{ item }}' }\n  b: { uses: noop, for_each: [1], with: '${{ matrix.v }}' }\n  c: { uses: noop, strategy: { matrix: { version: [1] } }, with: '${{ matrix.verson }}' }\n  d: { uses: noop, for_each: [1], if: 'item > 1' }\n  e: { uses: noop, needs: d, with: '${{ steps.d.value }}' }\n  f: { uses: noop, needs: a, with: '${{ steps.a.items }}' }\n",
        &[
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
            "undefined_variable",
        ],
    ),
    (
        "what must hold",
        "name: a\nsteps:\n  a: { uses: noop, evidence: {} }\n  b: { uses: noop, evidence: { files: [/etc/passwd, ../x, '', '${{ inputs.x }}', 3] } }\n  c: { uses: noop, evidence: { output: text } }\n  d: { uses: noop, evidence: { output: { enum: ['${{ self.x }}'] } } }\n  e: { uses: noop, evidence: { diff: full } }\n  f: { uses: noop, evidence: { artifacts: [x] } }\n  g: { uses: noop, evidence: [x] }\n",
        &[
            "missing_field",
            "invalid_value",
            "invalid_value",
            "invalid_value",
            "invalid_value",
            "invalid_type",
            "invalid_type",
            "invalid_value",
            "invalid_value",
            "unknown_field",
            "invalid_type",
        ],
    ),
    (
        "what must be passed",
        "name: a\nsteps:\n  a: { uses: noop, qa: x }\n  b: { uses: noop, qa: { mesage: x } }\n  c: { uses: noop, qa: { message: ' ' } }\n  d: { uses: noop, qa: { show: '${{ steps.a.x }}' } }\n  e: { uses: noop, qa: { timeout: 5 } }\n  f: { uses: llm, with: { prompt: x }, qa: { message: '${{ self.txt }}' } }\n  g: { uses: noop, retry: { on: [quality] } }\n",
        &[
            "invalid_type",
            "unknown_field",
            "invalid_value",
            "undefined_variable",
            "invalid_duration",
            "undefined_variable",
            "invalid_value",
        ],
    ),
    (
        "what is run again",
        "name: a\nsteps:\n  a: { uses: noop, repeat: {} }\n  b: { uses: noop, repeat: { until: 'self.x', max: 0 } }\n  c: { uses: noop, repeat: { until: 'self.x', max: 2, dela: 1s } }\n  d: { uses: noop, with: '${{ self.x }}' }\n  e: { uses: noop, repeat: { until: 'item', max: 2 } }\n  f: { uses: noop, repeat: 3 }\n",
        &[
            "missing_field",
            "missing_field",
            "out_of_range",
            "unknown_field",
            "undefined_variable",
            "undefined_variable",
            "invalid_type",
        ],
    ),
    (
        "defaults that are none",
        "name: a\ndefaults: { run: x, retry: 3, continue-on-error: 1, deadline: x, timout: 1s }\nsteps: { a: { uses: noop } }\n",
        &["unknown_field", "invalid_type", "invalid_type", "invalid_duration", "unknown_field"],
    ),
    ("Y13 nothing but a name", "name: a\n", &["missing_field"]),
    ("Y13 no name", "steps: { a: { run: x } }\n", &["missing_field"]),
    ("Y13 no steps in it", "name: a\nsteps: {}\n", &["missing_field"]),
    ("Y13 neither run nor uses", "name: a\nsteps: { a: { needs: [] } }\n", &["missing_field"]),
    ("Y13 both run and uses", "name: a\nsteps: { a: { run: x, uses: http } }\n", &["conflicting_fields"]),
    ("Y13 empty script", "name: a\nsteps: { a: { run: '  ' } }\n", &["missing_field"]),
    ("Y13 a list of steps", "name: a\nsteps:\n  - name: a\n    run: x\n", &["invalid_type"]),
    (
        "Y13 a step that is no mapping",
        "name: a\nsteps: { a: echo, b: , c: [x] }\n",
        &["invalid_type", "invalid_type", "invalid_type"],
    ),
    ("Y13 not a mapping at all", "- a\n- b\n", &["invalid_type"]),
    ("Y13 bad workflow name", "name: 'a/b'\nsteps: { a: { run: x } }\n", &["invalid_id"]),
    (
        "Y14 duplicate steps",
        "name: a\nsteps:\n  build: { run: x }\n  Build: { run: x }\n  build: { run: y }\n",
        &["duplicate_id", "duplicate_id"],
    ),
    (
        "Y15 names of steps",
        "name: a\nsteps:\n  '': { run: x }\n  ../x: { run: x }\n  a/b: { run: x }\n  a b: { run: x }\n  my-step: { run: x }\n  -a: { run: x }\n  1a: { run: x }\n  \u{e9}: { run: x }\n  e\u{301}: { run: x }\n  a\u{200b}: { run: x }\n  \u{1f600}: { run: x }\n  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: { run: x }\n",
        &["invalid_id"; 12],
    ),
    (
        "Y16 unknown needs",
        "name: a\nsteps:\n  build: { run: x }\n  test: { run: x, needs: bulid }\n  ship: { run: x, needs: [test, elephant] }\n",
        &["unknown_dependency", "unknown_dependency"],
    ),
    ("Y17 itself", "name: a\nsteps: { a: { run: x, needs: a } }\n", &["cycle"]),
    (
        "Y17 circles",
        "name: a\nsteps:\n  a: { run: x, needs: b }\n  b: { run: x, needs: [c, a] }\n  c: { run: x, needs: a }\n  d: { run: x, needs: [e] }\n  e: { run: x, needs: d }\n",
        &["cycle", "cycle"],
    ),
    (
        "Y18 needs of a wrong type",
        "name: a\nsteps:\n  a: { run: x, needs: 5 }\n  b: { run: x, needs: }\n  c: { run: x, needs: { a: b } }\n  d: { run: x, needs: [1, [a]] }\n",
        &["invalid_type"; 5],
    ),
    (
        "Y19 twice",
        "name: a\nsteps:\n  a: { run: x }\n  b: { run: x, needs: [a, a] }\n",
        &["duplicate_dependency"],
    ),
];

const VALUES: &[Row] = &[
    (
        "Y23 durations",
        "name: a\nsteps:\n  a: { run: x, timeout: -1 }\n  b: { run: x, timeout: 0 }\n  c: { run: x, timeout: abc }\n  d: { run: x, timeout: 1.5.2s }\n  e: { run: x, timeout: 99999999999d }\n  f: { run: x, timeout: 5 }\n  g: { run: x, timeout: 0s }\n  h: { run: x, timeout: '5' }\n  i: { run: x, timeout: [5s] }\n  j: { run: x, timeout: {} }\n  k: { run: x, timeout: { after: 1x, then: explode } }\n",
        &[
            "invalid_duration",
            "invalid_duration",
            "invalid_duration",
            "invalid_duration",
            "invalid_duration",
            "invalid_duration",
            "invalid_duration",
            "invalid_duration",
            "invalid_type",
            "missing_field",
            "invalid_duration",
            "invalid_value",
        ],
    ),
    (
        "Y24 retry",
        "name: a\nsteps:\n  a: { run: x, retry: { max_attempts: 0 } }\n  b: { run: x, retry: { max_attempts: -1 } }\n  c: { run: x, retry: { max_attempts: 1000000000 } }\n  d: { run: x, retry: { max_attempts: 2.5 } }\n  e: { run: x, retry: { max_attempts: three } }\n  f: { run: x, retry: { backoff: exponentail } }\n  g: { run: x, retry: { initial: 2m, max: 1m } }\n  h: { run: x, retry: { on: [transient, tiemout], max: .inf } }\n  i: { run: x, retry: 3 }\n  j: { run: x, retry: { factor: 2, on: [] } }\n",
        &[
            "out_of_range",
            "out_of_range",
            "out_of_range",
            "out_of_range",
            "invalid_type",
            "invalid_value",
            "out_of_range",
            "invalid_value",
            "number_range",
            "invalid_type",
            "unknown_field",
            "invalid_value",
        ],
    ),
    (
        "effect and sandbox",
        "name: a\nsteps:\n  a: { run: x, effect: pur }\n  b: { run: x, effect: at-most-once }\n  c: { run: x, sandbox: nope }\n",
        &["invalid_value", "invalid_value", "invalid_value"],
    ),
    (
        "what a sandbox grants",
        "name: a\ndefaults: { sandbox: [] }\nsteps:\n  a: { run: x, sandbox: { network: yes please, read: /etc, write: [\"${{ inputs.x }}\", \"\", ~root/x, 1], memory: 512MB, cpu: 60, processes: 0, file_size: 1, open_files: 3, mem: 1 } }\n  b: { run: x, sandbox: { memory: 1MiB, timeout: 1s, cpu: 0s } }\n",
        &[
            "invalid_type",
            "invalid_type",
            "invalid_type",
            "invalid_value",
            "invalid_value",
            "invalid_value",
            "invalid_type",
            "invalid_size",
            "invalid_duration",
            "out_of_range",
            "invalid_size",
            "out_of_range",
            "unknown_field",
            "invalid_size",
            "unknown_field",
            "invalid_duration",
        ],
    ),
    (
        "Y26 plugins",
        "name: a\nsteps:\n  a: { uses: htpt }\n  b: { uses: zebra }\n  c: { uses: 5 }\n",
        &["unknown_plugin", "unknown_plugin", "invalid_type"],
    ),
    (
        "Y27 the silence of a signal",
        "name: a\nsteps:\n  a: { uses: signal, with: { name: paid }, timeout: { after: 1h, then: approve } }\n  b: { uses: signal, with: { name: paid }, timeout: { after: 1h, then: fail } }\n",
        &["invalid_value"],
    ),
    (
        "Y27 configs",
        "name: a\nsteps:\n  a: { uses: llm }\n  b: { uses: llm, with: { promt: x, temperature: 3 } }\n  c: { uses: http, with: { url: [x], method: FETCH, headers: { A: 1 }, expect: ok } }\n  d: { uses: http, with: text }\n  e: { uses: sleep, with: { for: ever } }\n  f: { uses: greet, with: { a: 1 } }\n  g: { uses: llm, with: { prompt: '', max_tokens: 1e3 } }\n  h: { run: x, with: { interpeter: python3 } }\n  i: { run: x, with: { run: y } }\n",
        &[
            "missing_field",
            "unknown_field",
            "out_of_range",
            "invalid_type",
            "invalid_value",
            "invalid_type",
            "invalid_type",
            "invalid_type",
            "invalid_config",
            "invalid_type",
            "out_of_range",
            "invalid_type",
            "unknown_field",
            "conflicting_fields",
        ],
    ),
    (
        "Y28 credentials",
        "name: a\ninputs:\n  key: { type: string, default: AKIAABCDEFGHIJKLMNOP }\nenv: { TOKEN: ghp_abcdefghijklmnopqrstuvwxyz0123456789 }\nsteps:\n  a:\n    run: curl -u sk-abcdefghijklmnopqrstuvwxyz\n  b:\n    uses: http\n    with: { url: x, headers: { auth: \"x sk-abcdefghijklmnopqrstuvwxyz\" } }\noutputs: { x: sk-abcdefghijklmnopqrstuvwxyz }\n",
        &["possible_secret"; 5],
    ),
    (
        "Y35 environment",
        "name: a\nenv: { LD_PRELOAD: x, LANG: C }\nsteps:\n  a: { run: x, env: { A=B: x, 1A: x, '': x, PATH: x, GIT_SSH_COMMAND: x, GIT_AUTHOR_NAME: x, ORCHESTRATOR_RUN_ID: x } }\n",
        &[
            "env_forbidden",
            "env_invalid",
            "env_invalid",
            "env_invalid",
            "env_forbidden",
            "env_forbidden",
            "env_forbidden",
        ],
    ),
    (
        "inputs",
        "name: a\ninputs:\n  a: string\n  b: {}\n  c: { type: strnig }\n  d: { type: integer, default: '5' }\n  e: { type: string, default: 5 }\n  f: { type: string, required: true, default: x }\n  g: { type: string, required: false }\n  h: { tpye: string }\n  my-input: { type: boolean, default: yes }\nsteps: { a: { run: x } }\n",
        &[
            "invalid_type",
            "missing_field",
            "invalid_value",
            "invalid_type",
            "invalid_type",
            "conflicting_fields",
            "missing_field",
            "unknown_field",
            "invalid_id",
            "invalid_type",
        ],
    ),
];

#[test]
fn texts_that_are_no_yaml_or_not_the_yaml_that_was_meant() {
    insta::assert_snapshot!(table(YAML));
}

#[test]
fn keys_steps_and_needs() {
    insta::assert_snapshot!(table(STRUCTURE));
}

#[test]
fn values() {
    insta::assert_snapshot!(table(VALUES));
}

#[test]
fn the_value_of_a_credential_is_not_repeated() {
    let (_, text, _) = VALUES.iter().find(|(name, ..)| name.starts_with("Y28")).unwrap();
    for diagnostic in told(text) {
        assert!(!diagnostic.to_string().contains("ghp_") && !diagnostic.to_string().contains("sk-"));
    }
}

#[test]
fn a_nul_is_told_where_it_stands() {
    let diagnostics = told("name: a\nsteps: { \0");
    let span = diagnostics[0].span.unwrap();
    assert_eq!((diagnostics.len(), diagnostics[0].code, span.line, span.column), (1, "yaml.syntax", 2, 10));
}

#[test]
fn encodings() {
    let code =
        |bytes: &'static [u8]| decode(bytes).map_err(|found| (found.0[0].code, found.0[0].span.unwrap()));
    assert_eq!(code(b"name: a"), Ok("name: a"));
    let (code_of_latin_1, span) = code(b"name: a\nx: caf\xe9").unwrap_err();
    assert_eq!((code_of_latin_1, span.line, span.column), ("encoding", 2, 7));
    assert_eq!(code(b"\xff\xfen\0").unwrap_err().0, "encoding");
    assert_eq!(told("\u{feff}name: a\nsteps: { a: { run: x } }\n"), []);
    let diagnostics = told("\u{feff}nam: a\nsteps: { a: { run: x } }\n");
    assert_eq!((diagnostics[0].code, diagnostics[0].span.unwrap().column), ("unknown_field", 1));
}

#[test]
fn json_is_yaml_and_a_few_anchors_are_fine() {
    assert_eq!(
        told(r#"{"name": "a", "steps": {"x": {"run": "echo", "env": {"A": "\u00e9\ud83d\ude00"}}}}"#),
        []
    );
    let mut text = "name: a\nsteps:\n  s0: &step { uses: noop, with: &with { a: [1, 2] } }\n".to_owned();
    for ix in 1..10 {
        text.push_str(&format!("  s{ix}: {{ uses: noop, with: *with }}\n  t{ix}: *step\n"));
    }
    assert_eq!(told(&text), []);
}
