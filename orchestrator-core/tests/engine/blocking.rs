//! Steps that keep the thread on which they are executed, as no function of a runtime should.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use orchestrator_core::engine::step_fn;
use orchestrator_core::port::plugin::Plugin;
use orchestrator_core::port::store::Store;
use orchestrator_core::time::Timestamp;
use orchestrator_core::{Engine, MemoryStore, RunHandle};
use tokio::sync::Notify;

use crate::bench::{Puppet, engine, workflow};

/// How long an incarnation is believed to live without a word. The step keeps its thread for longer.
const TTL: Duration = Duration::from_millis(400);

/// A step that has begun and keeps its thread until it is let go.
struct Held {
    began: Arc<Notify>,
    release: Box<dyn Fn() + Send>,
}

/// Waits for a word from another thread, which keeps this one still.
fn waiting() -> (Arc<dyn Plugin>, Held) {
    let began = Arc::new(Notify::new());
    let (sender, receiver) = mpsc::channel::<()>();
    let (tell, receiver) = (began.clone(), Arc::new(Mutex::new(receiver)));
    let plugin = step_fn("hold", move |(): ()| {
        let (tell, receiver) = (tell.clone(), receiver.clone());
        async move {
            tell.notify_one();
            Ok(receiver.lock().unwrap().recv().is_ok())
        }
    });
    (plugin, Held { began, release: Box::new(move || sender.send(()).unwrap()) })
}

/// Never stops working.
fn busy() -> (Arc<dyn Plugin>, Held) {
    let (began, free) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let (tell, is_free) = (began.clone(), free.clone());
    let plugin = step_fn("hold", move |(): ()| {
        let (tell, is_free) = (tell.clone(), is_free.clone());
        async move {
            tell.notify_one();
            while !is_free.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            Ok(true)
        }
    });
    (plugin, Held { began, release: Box::new(move || free.store(true, Ordering::Relaxed)) })
}

async fn deadline(engine: &Engine) -> Timestamp {
    let row = engine.store().owner(engine.owner()).await.unwrap().unwrap();
    assert!(!row.dead);
    row.deadline
}

async fn ends(run: &RunHandle) -> String {
    run.wait().await.unwrap().status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_keeps_its_thread_holds_nobody_up_and_loses_no_lease() {
    for hold in [waiting, busy] {
        let (plugin, held) = hold();
        let puppet = Puppet::new();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let engine = engine(&puppet).plugin(plugin).store(store).ttl(TTL).start().await.unwrap();
        let owner = engine.owner();
        let flow = engine.parse("name: held\nsteps:\n  held: { uses: hold }\n").unwrap().workflow;
        let run = engine.start(flow).await.unwrap();
        held.began.notified().await;
        let first = deadline(&engine).await;
        for _ in 0..50 {
            let flow = workflow(
                &engine,
                "
                a: { uses: puppet }
                b: { uses: puppet, needs: a }",
            );
            assert_eq!(ends(&engine.start(flow).await.unwrap()).await, "completed");
        }
        // It is believed to live beyond what it was promised when the step had its thread already.
        while deadline(&engine).await <= first + TTL {
            tokio::task::yield_now().await;
        }
        assert_eq!(engine.owner(), owner);
        assert!(!run.progress().borrow().ended);
        (held.release)();
        assert_eq!(ends(&run).await, "completed");
        assert_eq!(engine.owner(), owner);
    }
}
