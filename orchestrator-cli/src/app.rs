//! What every command has at hand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use orchestrator_core::engine::{Engine, EngineBuilder, Registry, RunReport, read_outline, read_report};
use orchestrator_core::id::RunId;
use orchestrator_core::machine::Asked;
use orchestrator_core::port::queue::Queue;
use orchestrator_core::port::store::Store;
use orchestrator_plugins::{Llm, Outbound};

use crate::bell;
use crate::exit::Exit;
use crate::names::Names;
use crate::output::{Output, Problem};
use crate::outside::{self, Outside};
use crate::secrets;
use crate::settings::Settings;
use crate::shell::Shell;
use crate::store::{self, Access};
use crate::{prices, user, workflow};

/// What every command has at hand.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) settings: Settings,
    /// Why the settings could not be read and the defaults hold; only `doctor` goes on then.
    pub(crate) broken_settings: Option<Problem>,
    pub(crate) output: Output,
    pub(crate) shell: Shell,
    pub(crate) cwd: PathBuf,
    /// Asked once, and only by commands that need it.
    pub(crate) outside: OnceLock<Outside>,
    /// A store that tells others of what is committed, for which it needs to be closed.
    pub(crate) telling: OnceLock<Arc<dyn Store>>,
    /// Opened by the first who needs it.
    pub(crate) bell: OnceLock<Arc<dyn Queue>>,
    /// Engines that may have something to ring for when the process ends.
    pub(crate) ringing: Mutex<Vec<Engine>>,
}

impl App {
    /// What executables bring. They are started when this is first asked for.
    pub(crate) fn outside(&self) -> &Outside {
        self.outside.get_or_init(|| Outside::discover(&self.settings))
    }

    /// The kinds of steps there are.
    ///
    /// # Errors
    /// Exit 3 if an executable that the settings name is no plugin, or the table of prices is none.
    pub(crate) fn plugins(&self) -> Result<Registry, Problem> {
        let mut registry = workflow::builtin();
        registry.add(Arc::new(Llm::default().with_prices(prices::read(&self.settings)?)));
        registry.add(Arc::new(outside::mcp(&self.settings, Arc::default())?));
        self.outside().plugins()?.for_each(|plugin| registry.add(plugin.clone()));
        Ok(registry)
    }

    /// The store for looking at it, which must be there.
    pub(crate) async fn store(&self) -> Result<Arc<dyn Store>, Problem> {
        store::open(&self.settings, Access::Looking).await
    }

    /// The store for changing something in it, which must be there.
    pub(crate) async fn store_to_change(&self) -> Result<Arc<dyn Store>, Problem> {
        store::open(&self.settings, Access::Existing).await
    }

    /// The store for driving, made if it is not there. A file is never closed: closing would move its log into it, and
    /// cost more than the run of a small workflow. Whoever opens it next finds everything.
    pub(crate) async fn store_to_drive(&self, access: Access) -> Result<Arc<dyn Store>, Problem> {
        let store = store::open(&self.settings, access).await?;
        if store.describe().kind == "postgres" {
            let _ = self.telling.set(store.clone());
        }
        // Kept until the process ends, or else the last one who lets go of it would close it.
        std::mem::forget(store.clone());
        Ok(store)
    }

    /// Ends what must not be cut off by the end of the process.
    pub(crate) async fn close(&self) {
        let ringing = std::mem::take(&mut *self.ringing.lock().unwrap_or_else(PoisonError::into_inner));
        for engine in ringing {
            engine.rung().await;
        }
        if let Some(store) = self.telling.get()
            && let Err(error) = store.close().await
        {
            tracing::debug!(%error, "closing the store");
        }
    }

    /// The queue by which processes ring for each other, if the settings name one. It need not be reachable.
    ///
    /// # Errors
    /// Exit 2 if it cannot be used.
    pub(crate) fn bell(&self) -> Result<Option<Arc<dyn Queue>>, Problem> {
        if let Some(bell) = self.bell.get() {
            return Ok(Some(bell.clone()));
        }
        let opened = bell::open(&self.settings)?;
        Ok(opened.map(|opened| self.bell.get_or_init(|| opened).clone()))
    }

    /// An engine that drives only what it is told to. Relative paths of steps start at `workdir`.
    pub(crate) async fn engine(&self, store: Arc<dyn Store>, workdir: &Path) -> Result<Engine, Problem> {
        self.engine_as(store, user::process(), |builder| builder.poll(None).workdir(workdir)).await
    }

    /// An engine as the settings say, and then somebody else.
    pub(crate) async fn engine_as(
        &self,
        store: Arc<dyn Store>,
        label: String,
        furnish: impl FnOnce(EngineBuilder) -> EngineBuilder,
    ) -> Result<Engine, Problem> {
        let outbound = self.outbound()?;
        let builder = Engine::builder()
            .store(store)
            .plugins(orchestrator_plugins::builtin_over(&outbound))
            .plugin(Arc::new(outside::mcp(&self.settings, outbound.clone())?))
            .plugin(Arc::new(Llm::over(outbound).with_prices(prices::read(&self.settings)?)))
            .plugins(self.outside().plugins()?.cloned())
            .inspector(Arc::new(orchestrator_plugins::Files))
            .slots(self.settings.slots())
            .ttl(self.settings.ttl())
            .protect(store::places(&self.settings))
            .label(label);
        let builder = match self.bell()? {
            Some(bell) => builder.queue(bell),
            None => builder,
        };
        let builder = furnish(builder);
        let providers = secrets::providers(&self.settings);
        let builder = providers.into_iter().fold(builder, EngineBuilder::secrets);
        let engine = builder.start().await?;
        if self.bell.get().is_some() {
            self.ringing.lock().unwrap_or_else(PoisonError::into_inner).push(engine.clone());
        }
        secrets::keep_private(&self.settings, &engine);
        Ok(engine)
    }

    /// The way out for steps that connect to what workflows name.
    ///
    /// # Errors
    /// Exit 2 if the proxy does not read.
    pub(crate) fn outbound(&self) -> Result<Arc<Outbound>, Problem> {
        let mut outbound = Outbound::builder();
        if let Some(proxy) = self.settings.proxy() {
            outbound = outbound.proxy(proxy);
        }
        let built = outbound.build();
        built
            .map(Arc::new)
            .map_err(|why| Problem::new(Exit::Usage, "config_invalid", format!("proxy: {why}")))
    }

    /// Who asks, and why.
    pub(crate) fn asked(&self, reason: Option<&str>) -> Asked {
        Asked { by: user::name(), reason: reason.map(Arc::from) }
    }
}

/// A store that is only looked at.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) store: Arc<dyn Store>,
    /// Whether what the steps of a run gave is wanted: it is for programs.
    outputs: bool,
}

impl Book {
    /// Opens the store, which must be there.
    pub(crate) async fn open(app: &App) -> Result<Self, Problem> {
        Ok(Self { store: app.store().await?, outputs: app.output.json().is_some() })
    }

    /// A run as it is shown.
    pub(crate) async fn report(&self, run: RunId) -> Result<RunReport, Problem> {
        let read = match self.outputs {
            true => read_report(&*self.store, run).await?,
            false => read_outline(&*self.store, run).await?,
        };
        read.ok_or_else(|| no_run(&run.to_string()))
    }

    /// The names of a run's steps: of all, not only of those that have begun so far.
    pub(crate) async fn names(&self, run: RunId) -> Result<Names, Problem> {
        let row = self.store.run(run).await?.ok_or_else(|| no_run(&run.to_string()))?;
        let text = self.store.revision(row.new.revision).await?;
        match text.map(|text| orchestrator_core::spec::parse_stored(&text, &row.new.workflow)) {
            Some(Ok(workflow)) => Ok(Names::from(&workflow)),
            _ => Ok(Names::from(&self.report(run).await?)),
        }
    }
}

/// There is no such run.
pub(crate) fn no_run(named: &str) -> Problem {
    Problem::new(Exit::NotFound, "run_not_found", format!("there is no run `{named}`"))
}
