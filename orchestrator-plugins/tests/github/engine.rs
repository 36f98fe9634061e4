//! A whole run: opened, waited for without a slot, merged.

use std::sync::Arc;

use orchestrator_core::Engine;
use orchestrator_core::spec::parse;
use orchestrator_plugins::Github;
use serde_json::Value;

use crate::place::{Place, sha};

const FLOW: &str = r#"
name: propose
permissions: { network: ["127.0.0.1:*"] }
steps:
  open:
    uses: github
    with: { do: open, repository: acme/site, base_url: URL, token: token-of-ada, head: fix, base: main, title: Fix it }
  checks:
    uses: github
    needs: open
    with: { do: checks, repository: acme/site, base_url: URL, sha: "${{ steps.open.sha }}", every: 1s }
  merge:
    uses: github
    needs: [open, checks]
    with:
      do: merge
      repository: acme/site
      base_url: URL
      token: token-of-ada
      number: ${{ steps.open.number }}
      sha: ${{ steps.checks.sha }}
outputs:
  merged: ${{ steps.merge.merge_sha }}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_from_a_branch_to_a_merge() {
    let place = Place::new();
    place.hub.with(|hub| hub.ci = true);
    let engine = Engine::builder().plugin(Arc::new(Github::default())).start().await.unwrap();
    let flow = FLOW.replace("URL", &place.hub.url);
    let workflow = parse(&flow, engine.plugins()).unwrap_or_else(|problems| panic!("{problems}")).workflow;
    let run = engine.start(workflow).await.unwrap();
    let report = run.wait().await.unwrap();
    assert_eq!(report.status, "completed", "{report:?}");
    assert_eq!(report.output::<Value>("merge").unwrap()["merge_sha"], sha('e'));
    assert_eq!(report.output::<Value>("checks").unwrap()["conclusion"], "success");
    assert_eq!(place.hub.count("GET", "check-runs"), 3, "none, then one that runs, then its success");
    assert_eq!((place.hub.count("POST", "pulls"), place.hub.count("PUT", "merge")), (1, 1));
}
