//! The secrets that this engine has fetched: filled into requests at dispatch, masked in whatever comes out of steps.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::machine::StepError;
use crate::mask::{Mask, SHORTEST};
use crate::port::plugin::{Awaited, Context, Outcome, Request};
use crate::port::secret::{LONGEST, Secret, SecretError, SecretProvider};
use crate::spec::Workflow;
use crate::spec::expr::text_at;
use crate::spec::retry::ErrorClass;
use crate::time::{Clock, Timestamp};

/// How long a fetched value is used before its provider is asked again: a changed secret is noticed within a minute, and a
/// run of many steps does not ask for each.
const FRESH: Duration = Duration::from_secs(60);

/// How many values are masked: of providers that make a new one each time, those of hours ago are forgotten.
const REMEMBERED: usize = 512;

/// How long a secret that could not be had is not asked for again by steps that do not need it.
const ABSENT: Duration = Duration::from_secs(10);

/// A declared secret that cannot be had now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingSecret {
    /// Its name.
    pub name: Arc<str>,
    /// Why, and where it was looked for.
    pub why: String,
}

#[derive(Debug, Default)]
pub(crate) struct Vault {
    providers: Vec<Arc<dyn SecretProvider>>,
    known: Mutex<Known>,
    /// Held while a provider is asked, so that it is asked once.
    asking: tokio::sync::Mutex<()>,
    /// Whether there is anything to mask.
    masks: AtomicBool,
}

#[derive(Debug, Default)]
struct Known {
    fetched: HashMap<Arc<str>, (Secret, Timestamp)>,
    /// Every value there has been: one that is no longer valid must not be shown either.
    ever: Vec<Secret>,
    mask: Mask,
    /// When a secret could not be had last.
    absent: HashMap<Arc<str>, Timestamp>,
}

impl Vault {
    pub(crate) fn new(providers: Vec<Arc<dyn SecretProvider>>) -> Self {
        Self { providers, ..Self::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Every critical section leaves it whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What keeps the values of all secrets that were fetched so far out of texts.
    pub(crate) fn mask(&self) -> Mask {
        if self.masks.load(Ordering::Acquire) { self.known().mask.clone() } else { Mask::default() }
    }

    /// Those of the declared secrets of a workflow and of the workflows below it that cannot be had.
    pub(crate) async fn missing(&self, workflow: &Workflow, clock: &dyn Clock) -> Vec<MissingSecret> {
        let mut names = BTreeSet::new();
        declared(workflow, &mut names);
        let mut missing = Vec::new();
        for name in names {
            if let Err(error) = self.fetch(&name, clock).await {
                missing.push(MissingSecret { name, why: error.to_string() });
            }
        }
        missing
    }

    /// An attempt with the secrets of its workflow: filled in where the request says, and masked from here on.
    ///
    /// # Errors
    /// As [`Vault::open`].
    pub(crate) async fn opened(
        &self,
        workflow: &Workflow,
        mut context: Context,
        mut request: Request,
        clock: &dyn Clock,
    ) -> Result<(Context, Request), StepError> {
        if !workflow.secrets.is_empty() {
            self.open(&workflow.secrets, &mut request, clock).await?;
            context.mask = self.mask();
        }
        Ok((context, request))
    }

    /// Fills the secrets of a request in. All that the workflow declares are fetched, so that what one step knows is masked
    /// in what another one shows.
    ///
    /// # Errors
    /// Where a secret that the request needs cannot be had: nothing was dispatched.
    async fn open(
        &self,
        declared: &[Arc<str>],
        request: &mut Request,
        clock: &dyn Clock,
    ) -> Result<(), StepError> {
        let mut values = HashMap::with_capacity(declared.len());
        for name in declared {
            let needed = request.secrets.iter().any(|place| place.name == *name);
            let absent = |known: &Known| known.absent.get(name).is_some_and(|at| clock.now() < *at + ABSENT);
            if !needed && absent(&self.known()) {
                continue;
            }
            match self.fetch(name, clock).await {
                Ok(secret) => _ = values.insert(name.clone(), secret),
                Err(error) if needed => {
                    let class = match error {
                        SecretError::Unavailable(_) => ErrorClass::Transient,
                        SecretError::Refused(_) => ErrorClass::Invalid,
                    };
                    return Err(StepError::new(class, format!("secret `{name}`: {error}")));
                }
                Err(error) => {
                    self.known().absent.insert(name.clone(), clock.now());
                    tracing::debug!(%name, %error, "a secret that this step does not need cannot be had");
                }
            }
        }
        fill(request, &values)
    }

    async fn fetch(&self, name: &Arc<str>, clock: &dyn Clock) -> Result<Secret, SecretError> {
        let fresh = |known: &Known| {
            let (secret, at) = known.fetched.get(name)?;
            (clock.now() < *at + FRESH).then(|| secret.clone())
        };
        if let Some(secret) = fresh(&self.known()) {
            return Ok(secret);
        }
        let _asking = self.asking.lock().await;
        if let Some(secret) = fresh(&self.known()) {
            return Ok(secret);
        }
        let secret = self.ask(name).await?;
        let mut known = self.known();
        known.fetched.insert(name.clone(), (secret.clone(), clock.now()));
        if known.ever.iter().all(|seen| seen.reveal() != secret.reveal()) {
            if known.ever.len() >= REMEMBERED {
                known.ever.remove(0);
            }
            known.ever.push(secret.clone());
            known.mask = Mask::of(known.ever.iter().map(Secret::reveal));
            self.masks.store(true, Ordering::Release);
        }
        Ok(secret)
    }

    /// The value of the first provider that has one.
    async fn ask(&self, name: &str) -> Result<Secret, SecretError> {
        for provider in &self.providers {
            let Some(secret) = provider.fetch(name).await? else { continue };
            let (len, place) = (secret.reveal().len(), provider.place(name));
            if len < SHORTEST {
                let why = "it could not be kept out of what steps show";
                return Err(SecretError::Refused(format!(
                    "{place} holds {len} bytes, fewer than {SHORTEST}: {why}"
                )));
            }
            if len > LONGEST {
                let why = format!("{place} holds {len} bytes, more than {LONGEST}");
                return Err(SecretError::Refused(why));
            }
            return Ok(secret);
        }
        let places: Vec<String> = self.providers.iter().map(|provider| provider.place(name)).collect();
        Err(SecretError::Refused(match places.as_slice() {
            [] => "this engine has no provider of secrets".to_owned(),
            places => format!("it is not set: looked for {}", places.join(", ")),
        }))
    }
}

fn declared(workflow: &Workflow, names: &mut BTreeSet<Arc<str>>) {
    names.extend(workflow.secrets.iter().cloned());
    workflow.children.values().for_each(|child| declared(child, names));
}

/// Puts values where the request says that they belong, in each text from its end, so that places stay where they are.
fn fill(request: &mut Request, values: &HashMap<Arc<str>, Secret>) -> Result<(), StepError> {
    let mut places = request.secrets.clone();
    places.sort_by_key(|place| std::cmp::Reverse(place.from));
    for place in places {
        let text = match place.at.strip_prefix("/env/") {
            Some(name) => request.env.get_mut(name),
            None => place.at.strip_prefix("/with").and_then(|at| text_at(&mut request.with, at)),
        };
        let filled = text.zip(values.get(&place.name)).map(|(text, value)| place.fill(text, value.reveal()));
        if !matches!(filled, Some(Ok(()))) {
            let message =
                format!("the stored request has no place for secret `{}` at {}", place.name, place.at);
            return Err(StepError::new(ErrorClass::Invalid, message));
        }
    }
    Ok(())
}

/// Takes every secret out of an outcome.
pub(crate) fn mask_outcome(outcome: &mut Outcome, mask: &Mask) {
    if mask.is_empty() {
        return;
    }
    let text = |text: &mut String| *text = mask.text(text).into_owned();
    match outcome {
        Outcome::Succeeded { output } => mask.value(output),
        Outcome::Failed { error, .. } | Outcome::Unknown { error } => {
            error.message = mask.text(&error.message).into();
        }
        Outcome::Wait { on: Awaited::Approval { message, show } } => {
            text(message);
            show.iter_mut().for_each(|shown| mask.value(shown));
        }
        Outcome::Wait { on: Awaited::Signal { name } } => text(name),
        Outcome::Wait { on: Awaited::Pause(_) } | Outcome::Stopped => {}
    }
}
