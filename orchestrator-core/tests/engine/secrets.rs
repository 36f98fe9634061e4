//! Secrets: names in what is stored, values in what plugins are given, neither in what anybody is shown.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use orchestrator_core::engine::{Engine, Live};
use orchestrator_core::port::notice::Notice;
use orchestrator_core::port::plugin::{Awaited, Context, Outcome, Plugin, Request, Stream};
use orchestrator_core::port::secret::{Secret, SecretError, SecretProvider};
use orchestrator_core::port::store::{ApprovalQuery, EventsAfter, LogQuery, Store};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::{MemoryStore, RunHandle, RunReport, StartRun};
use serde_json::{Value, json};

const CANARY: &str = "canary-7d1f9a";
const OTHER: &str = "second-0b42e6";

/// Values that can be changed, and how often each was asked for.
#[derive(Debug, Default)]
struct Values {
    held: Mutex<HashMap<String, String>>,
    asked: Mutex<HashMap<String, u32>>,
    down: Mutex<u32>,
}

impl Values {
    fn of(pairs: &[(&str, &str)]) -> Arc<Self> {
        let values = Self::default();
        pairs.iter().for_each(|(name, value)| values.set(name, value));
        Arc::new(values)
    }

    fn set(&self, name: &str, value: &str) {
        self.held.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    fn asked(&self, name: &str) -> u32 {
        self.asked.lock().unwrap().get(name).copied().unwrap_or(0)
    }
}

#[async_trait]
impl SecretProvider for Values {
    async fn fetch(&self, name: &str) -> Result<Option<Secret>, SecretError> {
        *self.asked.lock().unwrap().entry(name.to_owned()).or_default() += 1;
        let mut down = self.down.lock().unwrap();
        if *down > 0 {
            *down -= 1;
            return Err(SecretError::Unavailable("the vault does not answer".to_owned()));
        }
        Ok(self.held.lock().unwrap().get(name).cloned().map(Secret::new))
    }

    fn place(&self, name: &str) -> String {
        format!("the drawer {name}")
    }
}

/// Keeps what it is given, and shows it wherever it can: `{key: TEXT, plain: TEXT, show: output|error|panic|approval}`.
#[derive(Debug, Default)]
struct Teller {
    given: Mutex<Vec<Value>>,
}

static CONFIG: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "env": { "secret": true },
        "properties": {
            "key": { "secret": true },
            "list": { "items": { "properties": { "key": { "secret": true } } } },
            "plain": {},
            "show": {},
        },
    })
});
static ANY: LazyLock<Value> = LazyLock::new(|| json!({}));

#[async_trait]
impl Plugin for Teller {
    fn kind(&self) -> &'static str {
        "teller"
    }

    fn summary(&self) -> &'static str {
        "shows what it is given"
    }

    fn config_schema(&self) -> &Value {
        &CONFIG
    }

    fn output_schema(&self) -> &Value {
        &ANY
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        EffectClass::Pure
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let env = json!(request.env);
        self.given.lock().unwrap().push(json!({ "with": request.with, "env": env }));
        let shown = format!("{} {env}", request.with["key"].as_str().unwrap_or("-"));
        context.log(Stream::Stdout, &shown);
        context.notify(&Notice { message: shown.clone(), ..Notice::default() });
        assert!(!format!("{request:?}").contains(CANARY), "its debug form shows the secret");
        match request.with["show"].as_str() {
            Some("error") => Outcome::failed(ErrorClass::Failed, shown),
            Some("panic") => panic!("{shown}"),
            Some("approval") => Outcome::Wait {
                on: Awaited::Approval { message: shown.clone(), show: Some(json!({ "shown": shown })) },
            },
            _ => Outcome::Succeeded {
                output: json!({ "with": request.with, (shown.as_str()): 1, "shown": shown }),
            },
        }
    }
}

struct House {
    engine: Engine,
    teller: Arc<Teller>,
    values: Arc<Values>,
    store: Arc<MemoryStore>,
}

async fn house(pairs: &[(&str, &str)]) -> House {
    let (teller, values, store) =
        (Arc::<Teller>::default(), Values::of(pairs), Arc::<MemoryStore>::default());
    let builder =
        Engine::builder().plugin(teller.clone()).secrets(values.clone()).store(store.clone()).poll(None);
    House { engine: builder.start().await.unwrap(), teller, values, store }
}

impl House {
    async fn run(&self, text: &str, inputs: Value) -> RunReport {
        let parsed = self.engine.parse(text).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        let start = inputs.as_object().into_iter().flatten();
        let start = start
            .fold(StartRun::new(parsed.workflow), |start, (name, value)| start.input(name, value.clone()));
        self.engine.start(start).await.unwrap().wait().await.unwrap()
    }

    /// Everything that the store gives out about a run, the values of all that it refers to included.
    async fn everything(&self, report: &RunReport) -> String {
        let (store, run) = (&self.store, report.run_id);
        let mut all = serde_json::to_string(report).unwrap();
        let after = EventsAfter { run, after: 0, limit: 10_000 };
        for recorded in store.events_after(after).await.unwrap() {
            all.push_str(&format!("{:?}", recorded.event));
        }
        let digests: Vec<String> = all
            .split(|c: char| !c.is_ascii_hexdigit())
            .filter(|word| word.len() == 64)
            .map(str::to_owned)
            .collect();
        for digest in digests {
            if let Some(body) = store.value(run, digest.parse().unwrap()).await.unwrap() {
                all.push_str(&body);
            }
        }
        let lines = LogQuery { run, step: None, after: 0, tail: false, limit: 10_000 };
        all.push_str(&format!("{:?}", store.logs(lines).await.unwrap()));
        let approvals = ApprovalQuery { project: None, run: Some(run), open: false, limit: 100 };
        all.push_str(&format!("{:?}", store.approvals(approvals).await.unwrap().items));
        all.push_str(&format!(
            "{:?} {:?}",
            store.steps(run).await.unwrap(),
            store.decisions(run).await.unwrap()
        ));
        all
    }
}

/// Shows the secret in every way there is.
const SHOWING: &str = r#"
name: showing
secrets: [KEY]
steps:
  output:
    uses: teller
    env: { TOKEN: "a ${{ secrets.KEY }} b" }
    with: { key: "Bearer ${{ secrets.KEY }}${{ secrets.KEY }}", list: [{ key: "${{ secrets.KEY }}" }] }
  error: { uses: teller, continue-on-error: true, with: { key: "${{ secrets.KEY }}", show: error } }
  panic: { uses: teller, continue-on-error: true, with: { key: "${{ secrets.KEY }}", show: panic } }
  later: { uses: teller, needs: output, with: { plain: "${{ steps.output.shown }}" } }
outputs: { shown: "${{ steps.output.shown }}" }
"#;

#[tokio::test]
async fn plugins_are_given_values_and_nobody_is_shown_them() {
    let house = house(&[("KEY", CANARY)]).await;
    let mut live = house.engine.subscribe();
    let report = house.run(SHOWING, json!({})).await;
    assert_eq!(report.status, "completed", "{report:?}");
    let given = house.teller.given.lock().unwrap().clone();
    let output = given.iter().find(|given| given["with"].get("list").is_some()).unwrap();
    assert_eq!(output["with"]["key"], format!("Bearer {CANARY}{CANARY}"));
    assert_eq!(output["with"]["list"][0]["key"], CANARY);
    assert_eq!(output["env"]["TOKEN"], format!("a {CANARY} b"));
    let everything = house.everything(&report).await;
    assert!(!everything.contains(CANARY), "{everything}");
    assert!(everything.contains("Bearer ${{ secrets.KEY }}"), "the stored request names it: {everything}");
    assert_eq!(report.outputs["shown"], "Bearer ****** {\"TOKEN\":\"a *** b\"}");
    for step in ["error", "panic"] {
        let step = report.steps.iter().find(|other| &*other.id == step).unwrap();
        assert!(step.error.as_ref().unwrap().contains("***"), "{step:?}");
    }
    let mut seen = 0;
    while let Ok(told) = live.try_recv() {
        seen += u32::from(matches!(told, Live::Notice { .. } | Live::Line { .. }));
        assert!(!format!("{told:?}").contains(CANARY), "{told:?}");
    }
    assert!(seen >= 8, "lines and notices of four steps: {seen}");
}

/// Returns when only a person can move the run.
async fn waits(run: &RunHandle) {
    let mut progress = run.progress();
    progress.wait_for(|progress| progress.status == "blocked").await.unwrap();
}

#[tokio::test]
async fn a_question_to_a_person_is_masked_too() {
    let house = house(&[("KEY", CANARY)]).await;
    let text = "name: ask\nsecrets: [KEY]\nsteps:\n  ask: { uses: teller, with: { key: \"${{ secrets.KEY }}\", show: approval } }\n";
    let flow = house.engine.parse(text).unwrap().workflow;
    let run = house.engine.start(flow).await.unwrap();
    waits(&run).await;
    let report = run.report().await.unwrap();
    let everything = house.everything(&report).await;
    assert!(!everything.contains(CANARY) && everything.contains("***"), "{everything}");
}

#[tokio::test]
async fn a_text_that_looks_like_a_secret_stays_a_text() {
    let house = house(&[("KEY", CANARY)]).await;
    let text = "name: forged\nsecrets: [KEY]\ninputs: { word: { type: string } }\nsteps:\n  a: { uses: teller, with: { key: \"${{ inputs.word }} ${{ secrets.KEY }} ${{ inputs.word }}\" } }\n";
    house.run(text, json!({ "word": "${{ secrets.KEY }}" })).await;
    let given = house.teller.given.lock().unwrap()[0]["with"]["key"].clone();
    assert_eq!(given, format!("${{{{ secrets.KEY }}}} {CANARY} ${{{{ secrets.KEY }}}}"));
}

#[tokio::test]
async fn what_one_step_knows_is_masked_in_another_one() {
    let house = house(&[("KEY", CANARY), ("OTHER", OTHER)]).await;
    let text = "name: two\nsecrets: [KEY, OTHER]\ninputs: { word: { type: string } }\nsteps:\n  a: { uses: teller, with: { plain: \"${{ inputs.word }}\" } }\n";
    let report = house.run(text, json!({ "word": format!("found {OTHER}") })).await;
    assert_eq!(report.steps[0].output["with"]["plain"], "found ***");
}

#[tokio::test]
async fn a_secret_that_cannot_be_had_fails_the_step_that_needs_it() {
    let house = house(&[("KEY", "abc")]).await;
    let text = |needed: &str| {
        format!(
            "name: missing\nsecrets: [KEY, NONE]\nsteps:\n  a: {{ uses: teller, with: {{ key: \"{needed}\" }} }}\n"
        )
    };
    let report = house.run(&text("${{ secrets.NONE }}"), json!({})).await;
    let error = report.steps[0].error.clone().unwrap();
    assert_eq!(error, "secret `NONE`: it is not set: looked for the drawer NONE");
    let report = house.run(&text("${{ secrets.KEY }}"), json!({})).await;
    let error = report.steps[0].error.clone().unwrap();
    assert!(error.starts_with("secret `KEY`: the drawer KEY holds 3 bytes, fewer than 4"), "{error}");
    assert!(house.teller.given.lock().unwrap().is_empty(), "nothing was dispatched");
    let report = house.run(&text("no secret"), json!({})).await;
    assert_eq!(report.status, "completed");
    let flow = house.engine.parse(&text("no secret")).unwrap().workflow;
    let missing = house.engine.missing_secrets(&flow).await;
    assert_eq!(missing.iter().map(|missing| &*missing.name).collect::<Vec<_>>(), ["KEY", "NONE"]);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_answer_is_asked_again_by_a_retry() {
    let house = house(&[("KEY", CANARY)]).await;
    *house.values.down.lock().unwrap() = 2;
    let text = "name: down\nsecrets: [KEY]\nsteps:\n  a: { uses: teller, retry: { max_attempts: 3 }, with: { key: \"${{ secrets.KEY }}\" } }\n";
    let report = house.run(text, json!({})).await;
    assert_eq!((report.status.as_str(), report.steps[0].attempts), ("completed", 3));
    assert_eq!(house.values.asked("KEY"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_changed_secret_is_noticed_and_the_old_one_stays_masked() {
    let house = house(&[("KEY", CANARY)]).await;
    let text = "name: changed\nsecrets: [KEY]\ninputs: { word: { type: string, default: \"\" } }\nsteps:\n  a: { uses: teller, with: { key: \"${{ secrets.KEY }}\", plain: \"${{ inputs.word }}\" } }\n";
    house.run(text, json!({})).await;
    house.run(text, json!({})).await;
    assert_eq!(house.values.asked("KEY"), 1);
    house.values.set("KEY", OTHER);
    tokio::time::advance(Duration::from_secs(61)).await;
    let report = house.run(text, json!({ "word": CANARY })).await;
    assert_eq!(house.teller.given.lock().unwrap()[2]["with"]["key"], OTHER);
    assert_eq!(report.steps[0].output["with"], json!({ "key": "***", "plain": "***" }));
}

/// A plugin that gives the beginning of what its work printed, as the limit of an output does.
#[derive(Debug)]
struct Cutter {
    /// Planted: it cuts first, and leaves masking to whoever comes after.
    cuts_first: bool,
}

#[async_trait]
impl Plugin for Cutter {
    fn kind(&self) -> &'static str {
        "cutter"
    }

    fn summary(&self) -> &'static str {
        "gives the beginning of what was printed"
    }

    fn config_schema(&self) -> &Value {
        &CONFIG
    }

    fn output_schema(&self) -> &Value {
        &ANY
    }

    fn effect_class(&self, _: &Value) -> EffectClass {
        EffectClass::Pure
    }

    async fn execute(&self, context: Context, request: Request) -> Outcome {
        let printed = format!("token {} and more", request.with["key"].as_str().unwrap_or_default());
        let shown = if self.cuts_first { printed.as_str().into() } else { context.mask.text(&printed) };
        let limit = request.with["plain"].as_u64().unwrap_or(0) as usize;
        Outcome::Succeeded { output: json!({ "begins": &shown[..limit.min(shown.len())] }) }
    }
}

/// The longest piece of the canary that an output shows, over all places where it can be cut.
async fn longest_piece(cuts_first: bool) -> usize {
    let text = |limit: usize| {
        format!(
            "name: cut\nsecrets: [KEY]\nsteps:\n  a: {{ uses: cutter, with: {{ key: \"${{{{ secrets.KEY }}}}\", plain: {limit} }} }}\n"
        )
    };
    let engine =
        Engine::builder().plugin(Arc::new(Cutter { cuts_first })).secrets(Values::of(&[("KEY", CANARY)]));
    let engine = engine.poll(None).start().await.unwrap();
    let mut longest = 0;
    for limit in 0.."token ".len() + CANARY.len() + 4 {
        let flow = engine.parse(&text(limit)).unwrap().workflow;
        let report = engine.start(flow).await.unwrap().wait().await.unwrap();
        let begins = report.steps[0].output["begins"].as_str().unwrap().to_owned();
        let shown = (1..=CANARY.len()).rev().find(|len| begins.contains(&CANARY[..*len]));
        longest = longest.max(shown.unwrap_or(0));
    }
    longest
}

#[tokio::test]
async fn a_secret_is_masked_before_an_output_is_cut_and_the_planted_opposite_is_noticed() {
    // One letter of it stands in `and more` too.
    assert!(longest_piece(false).await <= 1);
    assert_eq!(longest_piece(true).await, CANARY.len() - 1);
}
