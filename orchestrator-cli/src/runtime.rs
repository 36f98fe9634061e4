//! What carries out the work of a `worker`: two workers of apalis, under its monitor.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use apalis::prelude::WorkerBuilderExt as _;
use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::layers::Identity;
use apalis_core::monitor::Monitor;
use apalis_core::monitor::context::MonitorContext;
use apalis_core::task::Task;
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use apalis_core::worker::event::Event;
use apalis_core::worker::ext::parallelize::ParallelizeExt as _;
use orchestrator_core::engine::Work;
use orchestrator_core::port::queue::Ticket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// Two workers of apalis, one for runs and one for steps that others offer. One that ends is started again; what it had in
/// hand goes on.
#[derive(Debug)]
pub(crate) struct Runtime {
    monitor: MonitorContext,
    running: JoinHandle<()>,
}

/// Where the engine puts what is to be carried out.
#[derive(Debug, Clone)]
pub(crate) struct Hands {
    runs: UnboundedSender<Work>,
    steps: UnboundedSender<Work>,
}

impl Hands {
    /// Wakes the worker that is to carry this out. If there is none any more, the engine does.
    pub(crate) fn take(&self, work: Work) {
        let to = match work.ticket() {
            Ticket::Step(_) => &self.steps,
            _ => &self.runs,
        };
        drop(to.send(work));
    }
}

impl Runtime {
    /// Starts both workers. They wait for work until they are stopped.
    pub(crate) fn start() -> (Self, Hands) {
        Self::start_telling(tell)
    }

    fn start_telling(tell: impl Fn(&WorkerContext, &Event) + Send + Sync + 'static) -> (Self, Hands) {
        let (runs, due) = unbounded_channel();
        let (steps, offered) = unbounded_channel();
        let monitor = [("runs", Source::new(due)), ("steps", Source::new(offered))]
            .into_iter()
            .fold(Monitor::new(), |monitor, (name, source)| {
                monitor.register(move |_| {
                    // A task of Tokio's for each: nothing waits for what another one does, or ends with its worker.
                    WorkerBuilder::new(name)
                        .backend(source.clone())
                        .parallelize(tokio::spawn)
                        .catch_panic()
                        .build(Work::carry_out)
                })
            })
            .on_event(tell)
            .should_restart(|worker, error| {
                tracing::warn!(worker = worker.name(), %error, "a worker of apalis has ended, and begins again");
                true
            });
        let context = monitor.context();
        let running = tokio::spawn(async move {
            if let Err(error) = monitor.run().await {
                tracing::warn!(%error, "the workers of apalis have ended");
            }
        });
        (Self { monitor: context, running }, Hands { runs, steps })
    }

    /// Ends both workers when they have carried out what they have in hand: at once if the engine has stopped.
    pub(crate) async fn stop(self) {
        if let Err(error) = self.monitor.shutdown() {
            tracing::warn!(%error, "cannot stop the workers of apalis");
            return;
        }
        if let Err(error) = self.running.await {
            tracing::warn!(%error, "the workers of apalis have ended badly");
        }
    }
}

fn tell(worker: &WorkerContext, event: &Event) {
    match event {
        Event::Error(error) => tracing::warn!(worker = worker.name(), %error, "work has ended badly"),
        _ => tracing::debug!(worker = worker.name(), %event),
    }
}

/// What a worker of apalis takes from: a channel that wakes it. There is nothing to ask for at intervals, and no liveness to
/// report: the engine has claimed, renews and settles everything itself. A worker that begins again goes on with the same
/// channel.
#[derive(Debug, Clone)]
struct Source(Arc<Mutex<UnboundedReceiver<Work>>>);

impl Source {
    fn new(receiver: UnboundedReceiver<Work>) -> Self {
        Self(Arc::new(Mutex::new(receiver)))
    }
}

impl Backend for Source {
    type Task = Task<Work>;
    /// An error would end the worker.
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Task<Work>, Infallible>>> {
        let mut receiver = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match ready!(receiver.poll_recv(cx)) {
            Some(work) => Poll::Ready(Some(Ok(Task::new(work)))),
            // The engine is gone. Whoever stops the worker wakes it.
            None => Poll::Pending,
        }
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for Source {
    type Args = Work;
    type Id = ();
    /// Nothing is encoded: what is carried out lives in this process.
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use orchestrator_core::engine::{Engine, EngineBuilder, RunReport};
    use orchestrator_core::port::store::Serves;
    use orchestrator_core::{MemoryStore, RunId};
    use serde_json::{Value, json};
    use tokio::sync::Semaphore;

    use super::*;

    const LOOK: Duration = Duration::from_millis(5);

    const FLOW: &str = "
name: hello
steps:
  a: { uses: say }
  b: { uses: say, needs: a, queue: gpu }
";

    /// An engine with a kind of step that says hello.
    fn engine(store: &Arc<MemoryStore>) -> EngineBuilder {
        let builder = Engine::builder().store(store.clone()).poll(Some(LOOK));
        builder.step("say", async |_: Value| Ok(json!("hello")))
    }

    fn worker(store: &Arc<MemoryStore>, hands: Hands, queue: &str) -> EngineBuilder {
        let serves = Serves { queues: vec![queue.into()], ..Serves::default() };
        engine(store).serve(serves).hand_out(move |work| hands.take(work))
    }

    async fn enqueue(engine: &Engine) -> RunId {
        let flow = engine.parse(FLOW).unwrap().workflow;
        engine.enqueue(flow).await.unwrap()
    }

    async fn ended(engine: &Engine, run: RunId) -> RunReport {
        loop {
            let report = engine.report(run).await.unwrap().unwrap();
            if report.finished_at.is_some() {
                return report;
            }
            tokio::task::yield_now().await;
        }
    }

    /// What the workers have told: their name, and how often they have begun and carried something out.
    #[derive(Debug, Default)]
    struct Told {
        runs: [AtomicUsize; 2],
        steps: [AtomicUsize; 2],
    }

    impl Told {
        fn hear(&self, worker: &WorkerContext, event: &Event) -> usize {
            let of = if worker.name() == "runs" { &self.runs } else { &self.steps };
            match event {
                Event::Start => of[0].fetch_add(1, Ordering::SeqCst) + 1,
                Event::Success(_) => of[1].fetch_add(1, Ordering::SeqCst) + 1,
                _ => 0,
            }
        }

        fn count(&self) -> [usize; 4] {
            [&self.runs[0], &self.runs[1], &self.steps[0], &self.steps[1]]
                .map(|count| count.load(Ordering::SeqCst))
        }
    }

    #[tokio::test]
    async fn each_worker_carries_out_what_is_its_own_and_stops_with_the_engine() {
        let (store, told) = (Arc::new(MemoryStore::new()), Arc::new(Told::default()));
        let hears = told.clone();
        let (runtime, hands) = Runtime::start_telling(move |worker, event| {
            hears.hear(worker, event);
        });
        // As two processes would: one executes what the other offers.
        let first = worker(&store, hands.clone(), "default").start().await.unwrap();
        let run = enqueue(&first).await;
        let second = worker(&store, hands, "gpu").start().await.unwrap();
        let report = ended(&first, run).await;
        assert_eq!((report.status.as_str(), report.steps.len()), ("completed", 2));
        first.stop(Duration::ZERO).await;
        second.stop(Duration::ZERO).await;
        runtime.stop().await;
        let [runs, driven, steps, executed] = told.count();
        assert_eq!((runs, steps), (1, 1), "each has begun once");
        assert!(driven >= 1 && executed >= 1, "{told:?}");
    }

    #[tokio::test]
    async fn a_worker_that_dies_begins_again_and_nothing_is_lost() {
        let (store, told) = (Arc::new(MemoryStore::new()), Arc::new(Told::default()));
        let (gate, open) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let hears = told.clone();
        let (runtime, hands) = Runtime::start_telling(move |worker, event| {
            let times = hears.hear(worker, event);
            // Whoever listens to a worker is polled with it.
            assert!(!(matches!(event, Event::Success(_)) && times == 1), "as told");
        });
        let (begun, opened) = (gate.clone(), open.clone());
        let engine = worker(&store, hands, "default").step("wait", move |_: Value| {
            let (begun, opened) = (begun.clone(), opened.clone());
            async move {
                begun.add_permits(1);
                opened.acquire().await.unwrap().forget();
                Ok(json!("waited"))
            }
        });
        let engine = engine.start().await.unwrap();
        let flow = |kind: &str| engine.parse(&format!("name: x\nsteps:\n  a: {{ uses: {kind} }}")).unwrap();
        // One that is in hand when the worker dies of the end of another, and one that comes later.
        let held = engine.enqueue(flow("wait").workflow).await.unwrap();
        gate.acquire().await.unwrap().forget();
        let quick = engine.enqueue(flow("say").workflow).await.unwrap();
        assert_eq!(ended(&engine, quick).await.status, "completed");
        while told.count()[0] < 2 {
            tokio::task::yield_now().await;
        }
        let later = engine.enqueue(flow("say").workflow).await.unwrap();
        assert_eq!(ended(&engine, later).await.status, "completed");
        open.add_permits(1);
        let report = ended(&engine, held).await;
        assert_eq!((report.status.as_str(), report.steps[0].attempts), ("completed", 1));
        engine.stop(Duration::ZERO).await;
        runtime.stop().await;
        assert_eq!(told.count()[0], 2, "once more, and not again");
    }

    #[tokio::test]
    async fn what_no_worker_takes_any_more_the_engine_carries_out() {
        let store = Arc::new(MemoryStore::new());
        let (runtime, hands) = Runtime::start();
        let engine = worker(&store, hands, "default").start().await.unwrap();
        runtime.stop().await;
        let flow = engine.parse("name: x\nsteps:\n  a: { uses: say }").unwrap().workflow;
        let run = engine.enqueue(flow).await.unwrap();
        assert_eq!(ended(&engine, run).await.status, "completed");
        engine.stop(Duration::ZERO).await;
    }
}
