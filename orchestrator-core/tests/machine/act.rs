//! Random acts. An act says roughly what happens; the world makes a command of it that fits where the run is, or on
//! purpose one that does not.

use orchestrator_core::id::{DecisionId, StepIx, Unit};
use orchestrator_core::machine::{
    Begin, Command, Effect, Finished, Prepared, StepError, WaitOn, outstanding, wake_at,
};
use orchestrator_core::spec::retry::ErrorClass;
use orchestrator_core::spec::{EffectClass, OnExpiry};
use orchestrator_core::time::Timestamp;
use orchestrator_core::value::Digest;
use proptest::prelude::*;
use uuid::Uuid;

use crate::away::offer;
use crate::ledger::{Place, Right};
use crate::world::{World, approve, asked, hold, judge, qa, signal, signal_name, value};

/// Something that happens. The numbers choose among what there is.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Time passes.
    Pass(u8),
    /// Time passes until the next timer, or until just before it.
    NextTimer { early: bool },
    /// Someone looks at the timers.
    Wake,
    /// Something that is asked for is done, and done well. Attempts end by other acts, or all would succeed.
    Serve(u8),
    /// An owner wants to drive.
    Take { owner: u8, claims_death: bool },
    /// A driver lets go; a stale one if `stale`.
    Release { owner: u8, stale: bool },
    /// A step has been prepared.
    Prepare { pick: u8, verdict: Verdict },
    /// A step goes on, here or elsewhere.
    Continue { pick: u8, owner: u8, elsewhere: bool },
    /// There is no place for what was to begin, or to go on.
    Park { pick: u8, owner: u8, key: u8 },
    /// The run takes its place; or there is none, and it waits, or is turned away.
    Door { owner: u8, how: u8 },
    /// Somebody claims what is offered: the log learns nothing of it.
    Claim { pick: u8, owner: u8 },
    /// The log learns of a claim; of a wrong one, or of one of another right, if `stale`.
    Learn { pick: u8, stale: bool },
    /// What has been claimed is delivered: the claim, and how it ended.
    Deliver { pick: u8, outcome: Outcome },
    /// An offer is withdrawn, if nobody has claimed it; one that is over, if `stale`.
    Withdraw { pick: u8, stale: bool },
    /// An attempt ends. `right` chooses the current one, or any that was ever given out.
    Finish { pick: u8, right: Claim, outcome: Outcome },
    /// An owner dies, and its death is noticed at once, or not at all.
    Die { owner: u8, noticed: bool },
    /// The owner that executes a step dies.
    Crash { pick: u8 },
    /// Someone decides.
    Decide { pick: u8, approved: bool, seen: u8 },
    /// Someone judges.
    Judge { pick: u8, passed: bool, seen: u8 },
    /// Someone gives a signal.
    Signal { name: u8 },
    /// Begin what was put off.
    BeginNow,
    /// Begin nothing new.
    Pause,
    /// Go on.
    Resume,
    /// Stop.
    Cancel,
    /// Someone settles an unknown outcome.
    Resolve { pick: u8, applied: bool },
    /// Someone reopens the run.
    Retry { mask: u8 },
    /// The outputs are rendered; or cannot be.
    Conclude(bool),
    /// Something is said again.
    Repeat(u8),
}

/// What preparing gives.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    /// With the effect class of the step, or another; here, or elsewhere.
    Begin {
        owner: u8,
        effect: Option<EffectClass>,
        elsewhere: bool,
    },
    Skip,
    Ask {
        digest: u8,
        until: Option<u8>,
    },
    Deny,
    Fault,
}

/// Under which right an attempt claims to end.
#[derive(Debug, Clone)]
pub(crate) enum Claim {
    Current,
    Old(u8),
    WrongOwner(u8),
    WrongEpoch(bool),
    WrongAttempt(bool),
}

/// How an attempt ends.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Succeeded,
    Failed { class: ErrorClass, not_before: Option<u8> },
    Unknown,
    Approval { digest: u8, then: OnExpiry, until: Option<u8> },
    Moment(Option<u8>),
    Signal { name: u8, until: Option<u8> },
    Qa { digest: u8, then: OnExpiry, until: Option<u8> },
    Interrupted,
    Lost,
}

/// Scripts of acts. An act is made from one number: a strategy for each of its parts makes proptest ten times slower.
pub(crate) fn script() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(any::<u64>(), 0..90)
        .prop_map(|numbers| numbers.into_iter().map(|number| Dice(number).act()).collect())
}

/// A number that is used up by choosing.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        let side = self.0 % sides;
        self.0 /= sides;
        side
    }

    fn pick(&mut self) -> u8 {
        self.roll(256) as u8
    }

    fn flip(&mut self) -> bool {
        self.roll(2) == 1
    }

    fn maybe(&mut self) -> Option<u8> {
        self.flip().then(|| self.pick())
    }

    /// What moves a run forward is likelier than what disturbs it, or no run would get far.
    fn act(&mut self) -> Act {
        match self.roll(171) {
            0..6 => Act::Pass(self.pick()),
            6..14 => Act::NextTimer { early: self.roll(4) == 0 },
            14..18 => Act::Wake,
            18..32 => Act::Serve(self.pick()),
            32..35 => Act::Take { owner: self.pick(), claims_death: self.flip() },
            35..37 => Act::Release { owner: self.pick(), stale: self.flip() },
            37..54 => Act::Prepare { pick: self.pick(), verdict: self.verdict() },
            54..64 => Act::Continue { pick: self.pick(), owner: self.pick(), elsewhere: self.roll(3) == 0 },
            64..86 => Act::Finish { pick: self.pick(), right: self.claim(), outcome: self.outcome() },
            86..88 => Act::Die { owner: self.pick(), noticed: self.flip() },
            88..98 => Act::Crash { pick: self.pick() },
            98..106 => Act::Decide { pick: self.pick(), approved: self.flip(), seen: self.pick() },
            106 => Act::Pause,
            107..109 => Act::Resume,
            109 => Act::Cancel,
            110..115 => Act::Resolve { pick: self.pick(), applied: self.flip() },
            115..120 => Act::Retry { mask: self.pick() },
            120..123 => Act::Conclude(self.flip()),
            138..148 => Act::Claim { pick: self.pick(), owner: self.pick() },
            148..150 => Act::Learn { pick: self.pick(), stale: self.roll(3) == 0 },
            150..157 => Act::Deliver { pick: self.pick(), outcome: self.outcome() },
            170.. => Act::BeginNow,
            166..170 => Act::Door { owner: self.pick(), how: self.roll(6) as u8 },
            160..166 => Act::Park { pick: self.pick(), owner: self.pick(), key: self.pick() },
            157..160 => Act::Withdraw { pick: self.pick(), stale: self.roll(4) == 0 },
            132..138 => Act::Judge { pick: self.pick(), passed: self.flip(), seen: self.pick() },
            128..132 => Act::Signal { name: self.roll(2) as u8 },
            _ => Act::Repeat(self.pick()),
        }
    }

    fn verdict(&mut self) -> Verdict {
        match self.roll(16) {
            0..10 => Verdict::Begin {
                owner: self.pick(),
                effect: match self.roll(8) {
                    0 => Some(EffectClass::Pure),
                    1 => Some(EffectClass::AtMostOnce),
                    _ => None,
                },
                elsewhere: self.roll(3) == 0,
            },
            10..14 => Verdict::Ask { digest: self.roll(3) as u8, until: self.maybe() },
            14 => Verdict::Skip,
            _ if self.flip() => Verdict::Deny,
            _ => Verdict::Fault,
        }
    }

    fn claim(&mut self) -> Claim {
        match self.roll(16) {
            0..11 => Claim::Current,
            11..13 => Claim::Old(self.pick()),
            13 => Claim::WrongOwner(self.pick()),
            14 => Claim::WrongEpoch(self.flip()),
            _ => Claim::WrongAttempt(self.flip()),
        }
    }

    fn outcome(&mut self) -> Outcome {
        match self.roll(29) {
            0..4 => Outcome::Succeeded,
            4..8 => Outcome::Failed {
                class: [ErrorClass::Transient, ErrorClass::Failed, ErrorClass::Invalid, ErrorClass::Evidence]
                    [self.roll(4) as usize],
                not_before: self.maybe(),
            },
            8..10 => Outcome::Unknown,
            10..14 => Outcome::Approval {
                digest: self.roll(3) as u8,
                then: [OnExpiry::Fail, OnExpiry::Reject, OnExpiry::Approve][self.roll(3) as usize],
                until: self.maybe(),
            },
            14..17 => Outcome::Moment(self.maybe()),
            17..20 => Outcome::Signal { name: self.roll(2) as u8, until: self.maybe() },
            20..24 => Outcome::Qa {
                digest: self.roll(3) as u8,
                then: [OnExpiry::Fail, OnExpiry::Reject, OnExpiry::Approve][self.roll(3) as usize],
                until: self.maybe(),
            },
            24..27 => Outcome::Interrupted,
            _ => Outcome::Lost,
        }
    }
}

/// How many acts an ended run is still bothered with; unless one of them reopens it.
const AFTERLIFE: u32 = 12;

/// Plays a script in a world.
pub(crate) fn play(world: &mut World, script: &[Act]) {
    let mut left = AFTERLIFE;
    for act in script {
        left = if world.ledger.ended.is_some() { left - 1 } else { AFTERLIFE };
        if left == 0 {
            break;
        }
        match act {
            Act::Pass(millis) => world.pass(u64::from(*millis)),
            Act::NextTimer { early } => {
                if let Some(due) = wake_at(&world.state) {
                    let early = std::time::Duration::from_millis(u64::from(*early));
                    world.now = world.now.max(due - early);
                }
                let _ = world.say(Command::Wake);
            }
            Act::Die { owner, noticed } => {
                let owner = world.die(*owner);
                if *noticed {
                    let _ = world.say(Command::Lost { owner });
                }
            }
            Act::Crash { pick } => {
                let step = choose(world, *pick, |place| matches!(place, Place::Running(_)));
                if let Some(Place::Running(right)) = step.and_then(|step| world.ledger.place(step)) {
                    let owner = right.fence.owner;
                    let place = (0..3).find(|place| world.owner(*place) == owner);
                    if let Some(place) = place {
                        world.die(place);
                    }
                    let _ = world.say(Command::Lost { owner });
                }
            }
            Act::Claim { pick, owner } => {
                let step = choose(world, *pick, is_offered);
                let owner = world.owner(*owner);
                if let Some(step) = step {
                    let slot = world.state.find(step.into());
                    match world.shapes.get(step.index()).is_some_and(|shape| shape.task) {
                        true => {
                            // Now and then under a right of the past.
                            let epoch =
                                slot.map_or(1, |slot| slot.epoch).saturating_sub(u64::from(*pick % 16 == 7));
                            let _ = world.say(world.claim_task(step, epoch, owner));
                        }
                        false => world.claim(step, owner),
                    }
                }
            }
            Act::Deliver { pick, outcome } => {
                let step = choose(world, *pick, is_offered);
                if let Some(claimed) = step.and_then(|step| world.claimed(step)) {
                    world.say(claimed).expect("a claim is a fact");
                    let step = step.and_then(|step| world.ledger.place(step));
                    if let Some(Place::Running(right)) = step {
                        let delivered = ended(*right, finished(world, outcome));
                        world.say(delivered).expect("what has been claimed ends as is said");
                    }
                }
            }
            other => {
                if let Some(command) = command(world, other).or_else(|| command(world, &Act::Serve(0))) {
                    let _ = world.say(command);
                }
            }
        }
    }
}

/// The command that an act stands for, where there is one.
fn command(world: &World, act: &Act) -> Option<Command> {
    Some(match act {
        Act::Wake => Command::Wake,
        Act::Serve(pick) => {
            let mut effects: Vec<Effect> = outstanding(&world.state);
            effects.retain(|effect| !matches!(effect, Effect::Execute { .. }));
            world.serve(*effects.get(usize::from(*pick) % effects.len().max(1))?)
        }
        Act::Take { owner, claims_death } => {
            let dead = world.ledger.driver.filter(|_| *claims_death).map(|driver| driver.owner);
            Command::TakeDriver { owner: world.owner(*owner), dead }
        }
        Act::Release { owner, stale } => {
            let mut fence = world.ledger.driver?;
            if *stale {
                fence.epoch -= u64::from(owner % 2);
                fence.owner = world.owner(*owner);
            }
            Command::ReleaseDriver(fence)
        }
        Act::Prepare { pick, verdict } => {
            let step = pick_from(world, *pick, &ready(world))?;
            Command::Prepared { step: step.into(), verdict: prepared(world, step, verdict) }
        }
        Act::Finish { pick, right, outcome } => finish(world, *pick, right, outcome)?,
        Act::Decide { pick, approved, seen } => {
            let step = choose(world, *pick, |place| matches!(place, Place::Waiting { .. }))?;
            let digest = (*seen < 128).then(|| self::digest(seen % 3));
            approve(step, digest, *approved)
        }
        Act::Judge { pick, passed, seen } => {
            let needs_qa = |place: &Place| matches!(place, Place::Waiting { on: WaitOn::Qa { .. }, .. });
            let step = choose(world, *pick, needs_qa)?;
            judge(step, (*seen < 128).then(|| self::digest(seen % 3)), *passed)
        }
        Act::Signal { name } => signal(*name, world.said.len() as u64),
        Act::BeginNow => Command::BeginNow(asked()),
        Act::Pause => Command::Pause(asked()),
        Act::Resume => Command::Resume(asked()),
        Act::Cancel => Command::Cancel(asked()),
        Act::Resolve { pick, applied } => {
            let step =
                choose(world, *pick, |place| matches!(place, Place::Unknown { .. } | Place::Quarantined))?;
            let (step, applied) = (Unit::from(step), applied.then(|| value(4)));
            // A plugin that has looked, at this attempt or at one before it.
            let attempt = world.state.find(step).map_or(1, |slot| slot.attempts);
            match pick % 4 {
                0 => Command::Reconcile { step, attempt, applied, asked: asked() },
                1 => Command::Reconcile { step, attempt: attempt.saturating_sub(1), applied, asked: asked() },
                _ => Command::Resolve { step, applied, asked: asked() },
            }
        }
        Act::Retry { mask } => {
            let steps = (0..8).filter(|step| mask & (1 << step) != 0 && mask % 3 != 0).map(StepIx);
            Command::Retry {
                steps: steps.filter(|s| s.index() <= world.shapes.len()).map(Into::into).collect(),
                asked: asked(),
            }
        }
        Act::Conclude(true) => Command::Conclude(Ok(value(3))),
        Act::Conclude(false) => Command::Conclude(Err(error(ErrorClass::Template))),
        Act::Repeat(back) => {
            let back = usize::from(*back) % world.said.len().max(1);
            world.said.get(world.said.len().checked_sub(back + 1)?)?.clone()
        }
        other => goes_on_or_away(world, other)?,
    })
}

/// The command for what goes on, and for what is offered.
fn goes_on_or_away(world: &World, act: &Act) -> Option<Command> {
    Some(match act {
        Act::Park { pick, owner, key } => {
            let begins = |place: &Place| matches!(place, Place::Open | Place::Arrived);
            let step = choose(world, *pick, begins)?.into();
            Command::Park { step, owner: world.beginner(*owner), hold: hold(*key) }
        }
        Act::Door { owner, how } => {
            let owner = world.beginner(*owner);
            match how {
                0 => Command::TurnAway { owner, error: error(ErrorClass::Transient) },
                1..3 => Command::StandInLine { owner },
                _ => Command::Enter { owner },
            }
        }
        Act::Continue { pick, owner, elsewhere } => {
            let step = choose(world, *pick, |place| *place == Place::Arrived)?.into();
            let owner = world.beginner(*owner);
            match elsewhere {
                true => Command::Offer { step, owner, offer: offer() },
                false => Command::Continue { step, owner },
            }
        }
        Act::Learn { pick, stale: false } => world.claimed(choose(world, *pick, |place| {
            is_offered(place) || matches!(place, Place::Running(_))
        })?)?,
        Act::Learn { pick, stale: true } => {
            let Right { step, attempt, fence } = *pick_of(&world.ledger.rights, *pick)?;
            Command::Claimed { step: step.into(), attempt, fence, at: world.now }
        }
        Act::Withdraw { pick, stale } => {
            let step = choose(world, *pick, is_offered)?;
            let epoch = world.state.find(step.into()).map_or(1, |slot| slot.epoch);
            let withdraw =
                Command::Withdraw { step: step.into(), epoch: epoch - u64::from(*stale && epoch > 0) };
            // The commit of one that is claimed is refused, and says by whom.
            if *stale { withdraw } else { world.claimed(step).unwrap_or(withdraw) }
        }
        _ => return None,
    })
}

fn ready(world: &World) -> Vec<StepIx> {
    (0..world.shapes.len() as u32).map(StepIx).filter(|step| world.ledger.is_ready(*step)).collect()
}

/// Any step; now and then one that does not exist.
fn any_step(world: &World, pick: u8) -> StepIx {
    StepIx(u32::from(pick) % (world.shapes.len() as u32 + 1))
}

/// A step in a fitting place, if there is one; now and then any step.
fn choose(world: &World, pick: u8, fits: impl Fn(&Place) -> bool) -> Option<StepIx> {
    let steps = (0..world.shapes.len() as u32).map(StepIx);
    let fitting: Vec<StepIx> = steps.filter(|step| world.ledger.place(*step).is_some_and(&fits)).collect();
    pick_from(world, pick, &fitting)
}

fn pick_from(world: &World, pick: u8, fitting: &[StepIx]) -> Option<StepIx> {
    match pick {
        240.. => Some(any_step(world, pick)),
        _ => fitting.get(usize::from(pick) % fitting.len().max(1)).copied(),
    }
}

fn digest(number: u8) -> Digest {
    Digest::of(&[number])
}

fn error(class: ErrorClass) -> StepError {
    StepError::new(class, "it went wrong")
}

fn soon(world: &World, millis: Option<u8>) -> Option<Timestamp> {
    millis.map(|millis| world.now + std::time::Duration::from_millis(u64::from(millis)))
}

fn prepared(world: &World, step: StepIx, verdict: &Verdict) -> Prepared {
    let decision = DecisionId::from_uuid(Uuid::from_u128(5));
    match verdict {
        Verdict::Begin { owner, effect, elsewhere } => {
            let begin = world.begin(step, *owner);
            let begin = Begin { effect: effect.unwrap_or(begin.effect), ..begin };
            if *elsewhere { Prepared::Offer { begin, offer: offer() } } else { Prepared::Begin(begin) }
        }
        Verdict::Skip => Prepared::Skip,
        Verdict::Ask { digest, until } => Prepared::Ask {
            digest: self::digest(*digest),
            message: "may it?".into(),
            decision,
            until: soon(world, *until),
        },
        Verdict::Deny => Prepared::Deny { reason: "no".into(), decision },
        Verdict::Fault => Prepared::Fault(error(ErrorClass::Template)),
    }
}

fn finish(world: &World, pick: u8, claim: &Claim, outcome: &Outcome) -> Option<Command> {
    let step = choose(world, pick, |place| matches!(place, Place::Running(_)))?;
    let current = match world.ledger.place(step) {
        Some(Place::Running(right)) => Some(*right),
        _ => None,
    };
    let rights = &world.ledger.rights;
    let any = pick_of(rights, pick).copied();
    let mut right: Right = current.or(any)?;
    match claim {
        Claim::Current => {}
        Claim::Old(pick) => right = rights[usize::from(*pick) % rights.len()],
        Claim::WrongOwner(place) => right.fence.owner = world.owner(*place),
        Claim::WrongEpoch(up) => {
            right.fence.epoch = if *up { right.fence.epoch + 1 } else { right.fence.epoch - 1 }
        }
        Claim::WrongAttempt(up) => right.attempt = if *up { right.attempt + 1 } else { right.attempt - 1 },
    }
    Some(ended(right, finished(world, outcome)))
}

fn ended(right: Right, outcome: Finished) -> Command {
    Command::Finish { step: right.step.into(), attempt: right.attempt, fence: right.fence, outcome }
}

fn is_offered(place: &Place) -> bool {
    matches!(place, Place::Offered { .. })
}

fn pick_of<T>(all: &[T], pick: u8) -> Option<&T> {
    all.get(usize::from(pick) % all.len().max(1))
}

fn finished(world: &World, outcome: &Outcome) -> Finished {
    match outcome {
        Outcome::Succeeded => Finished::Succeeded(value(2)),
        Outcome::Failed { class, not_before } => {
            Finished::Failed { error: error(*class), not_before: soon(world, *not_before) }
        }
        Outcome::Unknown => Finished::Unknown(error(ErrorClass::Transient)),
        Outcome::Approval { digest, then, until } => Finished::Waiting {
            on: WaitOn::Approval {
                digest: self::digest(*digest),
                message: "shall I?".into(),
                show: None,
                then: *then,
            },
            until: soon(world, *until),
        },
        Outcome::Moment(until) => Finished::Waiting { on: WaitOn::Until, until: soon(world, *until) },
        Outcome::Qa { digest, then, until } => {
            Finished::Waiting { on: qa(*digest, *then), until: soon(world, *until) }
        }
        Outcome::Signal { name, until } => {
            Finished::Waiting { on: WaitOn::Signal { name: signal_name(*name) }, until: soon(world, *until) }
        }
        Outcome::Interrupted => Finished::Interrupted,
        Outcome::Lost => Finished::Lost,
    }
}
