//! The workflows that are killed: every class of effect, every kind of wait, fan-out and fan-in.

/// A workflow of the battery.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) name: &'static str,
    pub(crate) text: &'static str,
    /// Each step with those it needs.
    pub(crate) needs: &'static [(&'static str, &'static [&'static str])],
    /// The steps that append a line for each attempt and must never do so unasked.
    pub(crate) at_most_once: &'static [&'static str],
    /// The step that asks for a decision, if one does.
    pub(crate) asks: Option<&'static str>,
    /// How the run ends if nobody disturbs it.
    pub(crate) ends: &'static str,
}

/// Completes.
pub(crate) const CALM: Flow = Flow {
    name: "calm",
    text: r#"
name: calm
permissions: { network: ["127.0.0.1:*"] }
inputs:
  ledger: { type: string }
  sink:   { type: string }
env: { LEDGER: "${{ inputs.ledger }}" }
steps:
  plan:
    effect: pure
    run: echo count=3 >> "$ORCHESTRATOR_OUTPUT"
  review:
    uses: approval
    needs: plan
    with: { message: "Go on?", show: "${{ steps.plan.count }} items" }
  nap:
    uses: sleep
    needs: plan
    with: { for: 400ms }
  churn:
    needs: plan
    effect: pure
    run: |
      sleep 0.1
      echo seen=churn >> "$ORCHESTRATOR_OUTPUT"
  mark:
    needs: plan
    effect: idempotent
    with: { stdin: "${{ run.id }} ${{ steps.plan.count }}" }
    run: |
      bytes=$(cat)
      echo "$ORCHESTRATOR_RUN_ID mark $ORCHESTRATOR_ATTEMPT $ORCHESTRATOR_IDEMPOTENCY_KEY begin $bytes" >> "$LEDGER"
      sleep 0.04
      echo "$ORCHESTRATOR_RUN_ID mark $ORCHESTRATOR_ATTEMPT $ORCHESTRATOR_IDEMPOTENCY_KEY end $bytes" >> "$LEDGER"
      echo seen=mark >> "$ORCHESTRATOR_OUTPUT"
  pay:
    needs: plan
    run: |
      sleep 0.03
      echo "$ORCHESTRATOR_RUN_ID pay $ORCHESTRATOR_ATTEMPT $ORCHESTRATOR_IDEMPOTENCY_KEY effect" >> "$LEDGER"
      sleep 0.03
      echo receipt=pay >> "$ORCHESTRATOR_OUTPUT"
  charge:
    needs: plan
    retry: { max_attempts: 9, backoff: fixed, initial: 80ms }
    run: |
      [ "$ORCHESTRATOR_ATTEMPT" -ge 2 ] || exit 1
      echo "$ORCHESTRATOR_RUN_ID charge $ORCHESTRATOR_ATTEMPT $ORCHESTRATOR_IDEMPOTENCY_KEY effect" >> "$LEDGER"
      sleep 0.03
      echo receipt=charge >> "$ORCHESTRATOR_OUTPUT"
  post:
    uses: http
    needs: plan
    with: { method: POST, url: "${{ inputs.sink }}", json: { run: "${{ run.id }}", count: "${{ steps.plan.count }}" } }
    retry: { max_attempts: 50, backoff: fixed, initial: 50ms }
  flaky:
    needs: plan
    effect: pure
    retry: { max_attempts: 50, backoff: fixed, initial: 150ms }
    run: |
      [ "$ORCHESTRATOR_ATTEMPT" -ge 3 ] || exit 1
      echo seen=flaky >> "$ORCHESTRATOR_OUTPUT"
  never:
    needs: plan
    if: steps.plan.count == "none"
    run: exit 1
  publish:
    needs: [review, nap, churn, mark, pay, charge, post, flaky]
    if: steps.review.approved
    env: { RECEIPTS: "${{ steps.pay.receipt }} ${{ steps.charge.receipt }} ${{ steps.mark.seen }}" }
    run: |
      echo "$ORCHESTRATOR_RUN_ID publish $ORCHESTRATOR_ATTEMPT $ORCHESTRATOR_IDEMPOTENCY_KEY effect" >> "$LEDGER"
      sleep 0.02
      echo receipt=publish >> "$ORCHESTRATOR_OUTPUT"
  close:
    needs: publish
    effect: pure
    run: echo seen=close >> "$ORCHESTRATOR_OUTPUT"
outputs:
  pay: ${{ steps.pay.receipt }}
  charge: ${{ steps.charge.receipt }}
  mark: ${{ steps.mark.seen }}
  post: ${{ steps.post.json.applied }}
  flaky: ${{ steps.flaky.seen }}
  publish: ${{ steps.publish.receipt }}
  close: ${{ steps.close.seen }}
"#,
    needs: &[
        ("plan", &[]),
        ("review", &["plan"]),
        ("nap", &["plan"]),
        ("churn", &["plan"]),
        ("mark", &["plan"]),
        ("pay", &["plan"]),
        ("charge", &["plan"]),
        ("post", &["plan"]),
        ("flaky", &["plan"]),
        ("never", &["plan"]),
        ("publish", &["review", "nap", "churn", "mark", "pay", "charge", "post", "flaky"]),
        ("close", &["publish"]),
    ],
    at_most_once: &["pay", "charge", "publish"],
    asks: Some("review"),
    ends: "completed",
};

/// Fails, and goes on for a while after that.
pub(crate) const DOOMED: Flow = Flow {
    name: "doomed",
    text: r#"
name: doomed
permissions: { network: ["127.0.0.1:*"] }
inputs:
  ledger: { type: string }
  sink:   { type: string }
env: { LEDGER: "${{ inputs.ledger }}" }
steps:
  pay:
    run: |
      echo "$ORCHESTRATOR_RUN_ID pay $ORCHESTRATOR_ATTEMPT $ORCHESTRATOR_IDEMPOTENCY_KEY effect" >> "$LEDGER"
      sleep 0.03
      echo receipt=pay >> "$ORCHESTRATOR_OUTPUT"
  hold:
    uses: sleep
    with: { for: 300ms }
  broken:
    effect: pure
    run: exit 3
  never:
    needs: broken
    run: exit 1
  clean:
    needs: broken
    if: failure()
    run: |
      echo "$ORCHESTRATOR_RUN_ID clean $ORCHESTRATOR_ATTEMPT $ORCHESTRATOR_IDEMPOTENCY_KEY effect" >> "$LEDGER"
      sleep 0.1
      echo receipt=clean >> "$ORCHESTRATOR_OUTPUT"
  last:
    needs: [hold, pay]
    if: always()
    effect: pure
    run: echo seen=last >> "$ORCHESTRATOR_OUTPUT"
"#,
    needs: &[
        ("pay", &[]),
        ("hold", &[]),
        ("broken", &[]),
        ("never", &["broken"]),
        ("clean", &["broken"]),
        ("last", &["hold", "pay"]),
    ],
    at_most_once: &["pay", "clean"],
    asks: None,
    ends: "failed",
};
