//! Who ends, goes away, or is not understood in the middle.

use std::time::Duration;

use orchestrator_core::machine::StepError;
use orchestrator_core::port::plugin::{Outcome, Reconciled, StopReason};
use orchestrator_core::spec::EffectClass;
use orchestrator_core::spec::retry::ErrorClass;
use serde_json::json;

use crate::alive::Alive;
use crate::stage::{context, failure, output, request};
use crate::{HANG, Obedient, alive, manifest, obedient, stopped_as, stopped_once, unknown};

const HANGS: &str = "time.sleep(1000)";

const PID: &str = "say(id=message['id'], outcome='succeeded', output={'pid': os.getpid()})";

async fn process(it: &Obedient) -> Alive {
    alive(&output(it.does(PID).await.0)["pid"])
}

#[tokio::test]
async fn what_the_step_says_of_a_repetition_outweighs_the_manifest() {
    let it = obedient(&manifest(&json!({ "effect": "idempotent" }))).await;
    for reason in [StopReason::Shutdown, StopReason::TimedOut] {
        let told = unknown(stopped_as(EffectClass::AtMostOnce, &it, HANGS, reason).await.0).message;
        assert!(told.ends_with("it did not stop within 5 s when it was told to, and was killed"), "{told}");
    }
    let it = obedient(&manifest(&json!({ "effect": "at_most_once" }))).await;
    let (outcome, _) = stopped_as(EffectClass::Pure, &it, HANGS, StopReason::Shutdown).await;
    assert_eq!(outcome, Outcome::Stopped);
    let (outcome, _) = stopped_as(EffectClass::Pure, &it, HANGS, StopReason::TimedOut).await;
    assert_eq!(failure(outcome).0, ErrorClass::Timeout);
}

#[tokio::test]
async fn who_ends_when_it_is_told_to_stop_has_stopped_if_it_may_begin_again() {
    let it = obedient(&manifest(&json!({}))).await;
    let ends = "read()\nsys.exit(3)";
    let (outcome, _) = stopped_as(EffectClass::Idempotent, &it, ends, StopReason::Shutdown).await;
    assert_eq!(outcome, Outcome::Stopped);
    let error = unknown(stopped_as(EffectClass::AtMostOnce, &it, ends, StopReason::Shutdown).await.0);
    assert!(error.message.contains("it has ended (exit code 3)"), "{}", error.message);
}

#[tokio::test]
async fn an_outcome_that_does_not_read_may_have_meant_anything() {
    let it = obedient(&manifest(&json!({}))).await;
    for (how, told) in [
        ("outcome='succes', output={}", "its answer does not read: unknown variant `succes`"),
        ("outcome='failed', message=5", "its answer does not read: invalid type: integer `5`"),
        ("result={}", "its answer does not read: missing field `outcome`"),
    ] {
        let StepError { class, message, .. } =
            unknown(it.does(&format!("say(id=message['id'], {how})")).await.0);
        assert!(class == ErrorClass::Invalid && message.contains(told), "{message}");
    }
}

#[tokio::test]
async fn its_end_is_noticed_also_while_what_it_has_started_holds_its_output() {
    let it = obedient(&manifest(&json!({}))).await;
    let starts = "child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n";
    let error = unknown(it.does(&format!("{starts}print('boom', file=sys.stderr)\nos._exit(3)")).await.0);
    assert!(error.message.contains("it has ended (exit code 3): boom"), "{}", error.message);
    // What it said just before is heard.
    let says = "say(id=message['id'], outcome='succeeded', output={'child': child.pid})\nos._exit(0)";
    let child = alive(&output(it.does(&format!("{starts}{says}")).await.0)["child"]);
    child.ends().await;
    process(&it).await;
}

#[tokio::test]
async fn who_reads_no_more_is_not_waited_for() {
    let it = obedient(&manifest(&json!({}))).await;
    let deaf = "os.close(0)\nsay(id=message['id'], log='deaf')\ntime.sleep(1000)";
    let (outcome, _) = stopped_once("deaf", EffectClass::AtMostOnce, &it, deaf, StopReason::Cancelled).await;
    let told = unknown(outcome).message;
    assert!(told.contains("it reads no more from its standard input"), "{told}");
}

#[tokio::test]
async fn an_attempt_that_nobody_waits_for_any_more_is_told_to_stop() {
    let it = obedient(&manifest(&json!({}))).await;
    let (context, log) = context(it.folder.path());
    let what = "say(id=message['id'], log='ready')\nheard = read()";
    {
        let executed = it.plugin.execute(context, request(json!({ "do": what })));
        let gone = async {
            tokio::select! {
                outcome = executed => panic!("it does not end: {outcome:?}"),
                _ = log.line_with("ready") => {}
            }
        };
        tokio::time::timeout(HANG, gone).await.expect("it hangs");
    }
    let heard = it.does("say(id=message['id'], outcome='succeeded', output=heard)").await.0;
    let heard = output(heard);
    assert_eq!((&heard["method"], &heard["reason"]), (&json!("cancel"), &json!("cancelled")), "{heard}");
}

#[tokio::test]
async fn who_looks_for_too_long_is_ended_before_others_have_their_turn() {
    let it = obedient(&manifest(&json!({ "reconcile": true }))).await;
    let first = process(&it).await;
    let (context, log) = context(it.folder.path());
    // Nothing else happens, so the hours pass at once.
    tokio::time::pause();
    let asked = it.plugin.reconcile(context, request(json!({ "do": HANGS })));
    let found = tokio::time::timeout(Duration::from_secs(60), asked).await;
    assert_eq!(found.expect("who has asked would have gone away"), Reconciled::Unknown);
    tokio::time::resume();
    assert!(log.text().contains("it did not answer within 45 s"), "{}", log.text());
    first.ends().await;
    process(&it).await;
}
