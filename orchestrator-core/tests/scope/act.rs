//! What can happen in a world, and what comes of it.

use std::fmt;

use crate::account::Place;
use crate::bounds::STEPS;
use crate::runs::{RunIx, Runs, Said};
use crate::word::{How, Right, Word};
use crate::world::{Flight, Lease, Node, Spot, World, owner_of, place_of};
use crate::wrong::Wrong;

/// How many names of actions there are.
pub(crate) const NAMES: usize = 41;

/// What becomes of a member whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    Applied,
    Gone,
    /// It reaches the store later, or never.
    OnTheWire,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A process decides, and sends a member.
    Say(usize, Word),
    /// The member of a process reaches the store, and the answer the process.
    Commit(usize),
    /// The answer is lost.
    Lose(usize, Fate),
    /// A process whose answer was lost reads event `expected + 1`.
    Settle(usize),
    /// A copy that was on its way reaches the store.
    Land,
    /// What a dead incarnation has left behind says how it ended.
    Late(Right, How),
    /// An outcome is reported once more.
    Echo,
    /// A process claims what is offered of a step.
    Claim(usize, usize),
    /// A process claims under the right before the last that was given out.
    ClaimLate(usize, usize),
    /// What a process has claimed has ended, and it tells the store.
    Deliver(Right, How),
    /// A driver of a process that has left writes under the right that it had.
    Stale(usize, Word),
    /// A process sees in the log that it does not drive the run any more.
    Notice(usize),
    Renew(usize),
    /// The time of an owner is over.
    Lapse(u8),
    Sweep,
    /// A process dies, and another begins; its member is gone, or still on its way.
    Crash(usize, Fate),
    /// Another run takes the place under the key.
    OthersTake,
    /// It gives it back.
    OthersGive,
    /// Somebody outside says something.
    People(Word),
}

/// What comes of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Moved(World),
    Refused,
}

/// How the store answers.
enum Answer {
    Applied(RunIx),
    Conflict,
    Fenced,
    /// An offer that it withdraws is claimed.
    Claimed,
    /// There is no place for what it begins.
    Full,
}

type Came = Result<Outcome, String>;

impl Action {
    /// The word for it in the specification.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Say(_, word) | Self::People(word) => match word {
                Word::Take { .. } => "take driver",
                Word::Release { .. } => "release driver",
                Word::Enter { .. } => "enter",
                Word::StandInLine { .. } => "stand in line",
                Word::Begin { .. } => "begin",
                Word::Skip { .. } => "skip",
                Word::Park { .. } => "park",
                Word::Continue { .. } => "continue",
                Word::Offer { .. } => "offer",
                Word::Withdraw { .. } => "withdraw",
                Word::Learn(_) => "learn",
                Word::Deliver(..) => "take in",
                Word::Finish(_, How::Asks | How::Listens) => "wait",
                Word::Finish(..) => "deliver",
                Word::Lost { .. } => "lost",
                Word::Wake => "wake",
                Word::Conclude => "conclude",
                Word::Approve { .. } => "approve",
                Word::Signal => "signal",
                Word::Pause => "pause",
                Word::Resume => "resume",
                Word::Cancel => "cancel",
                Word::Resolve { .. } => "resolve",
                Word::Retry => "retry",
            },
            Self::Commit(_) => "commit",
            Self::Lose(..) => "ambiguous",
            Self::Settle(_) => "settle",
            Self::Land => "land",
            Self::Late(..) => "deliver late",
            Self::Echo => "deliver again",
            Self::Claim(..) => "claim",
            Self::ClaimLate(..) => "claim late",
            Self::Deliver(..) => "deliver to the store",
            Self::Stale(..) => "write stale",
            Self::Notice(_) => "notice",
            Self::Renew(_) => "renew",
            Self::Lapse(_) => "lapse",
            Self::Sweep => "sweep",
            Self::Crash(..) => "crash",
            Self::OthersTake => "others take the place",
            Self::OthersGive => "others give the place on",
        }
    }
}

/// Does what an action says.
pub(crate) fn perform(runs: &mut Runs, wrong: Option<Wrong>, world: &World, action: Action) -> Came {
    let scope = runs.scope;
    let mut deed = Deed { runs, wrong, world: world.clone() };
    let moved = match action {
        Action::Say(node, word) => deed.say(node, word)?,
        Action::Commit(node) => deed.commit(node)?,
        Action::Lose(node, fate) => deed.lose(node, fate)?,
        Action::Settle(node) => deed.settle(node)?,
        Action::Land => deed.land()?,
        Action::Late(right, how) | Action::Deliver(right, how) if right.remote => deed.deliver(right, how),
        Action::Late(right, how) | Action::Deliver(right, how) => {
            deed.world.forget(right);
            deed.outside(Word::Finish(right, how))?
        }
        Action::Echo => match deed.world.echo.take() {
            Some(right) if right.remote => deed.deliver(right, How::Done),
            Some(right) => deed.outside(Word::Finish(right, How::Done))?,
            None => false,
        },
        Action::Claim(node, step) => deed.claim(node, step)?,
        Action::ClaimLate(node, step) => deed.claim_late(node, step)?,
        Action::Stale(node, word) => deed.stale(node, word)?,
        Action::Notice(node) => {
            deed.world.nodes[node].held = 0;
            true
        }
        Action::Renew(node) => deed.renew(node),
        Action::Lapse(owner) => {
            let current = u8::from(deed.world.is_current(owner));
            deed.world.left.lapses = deed.world.left.lapses.saturating_sub(current);
            // Nobody renews one that is gone: whoever looks marks it.
            let lease = if current == 1 { Lease::Past } else { Lease::Dead };
            deed.world.set_lease(owner, lease);
            deed.tell_of_the_lost();
            true
        }
        Action::Sweep => deed.sweep(),
        Action::Crash(node, fate) => {
            let left = &mut deed.world.left.crashes;
            *left = left.saturating_sub(1);
            deed.begin_anew(node, fate);
            true
        }
        Action::OthersTake => {
            deed.world.left.others -= 1;
            deed.world.spot = Spot::Others;
            true
        }
        Action::OthersGive => {
            deed.world.spot = Spot::Free;
            true
        }
        Action::People(word) => deed.people(word)?,
    };
    if !deed.is(Wrong::NotGivenOn) {
        let ran = deed.runs.at(deed.world.run);
        deed.world.give_the_place_on(&scope, ran);
    }
    let Deed { runs, world: mut after, .. } = deed;
    after.close_offers(runs.at(after.run))?;
    if let Some(what) = after.misplaced(&scope, runs.at(after.run)) {
        return Err(what);
    }
    after.forget_the_dead(runs.at(after.run));
    if wrong.is_none() {
        after.forget_the_late(runs);
    }
    let death = world.owners().find(|(owner, lease)| *lease == Lease::Dead && after.lease(*owner) != *lease);
    if let Some((owner, _)) = death {
        return Err(format!("G6: {owner} was dead and lives again"));
    }
    // A refusal can use something up all the same: a late outcome that was refused is not said again.
    Ok(if moved || after != *world { Outcome::Moved(after) } else { Outcome::Refused })
}

/// Whether the store or the machine has refused an action that was used up by that.
pub(crate) fn was_refused(before: &World, after: &World, action: Action) -> bool {
    match action {
        Action::Late(..)
        | Action::Deliver(..)
        | Action::Echo
        | Action::Stale(..)
        | Action::Land
        | Action::Commit(_) => before.run == after.run && before.inbox == after.inbox,
        Action::Renew(node) => before.nodes[node].life != after.nodes[node].life,
        Action::Settle(node) => after.nodes[node].flight.is_some(),
        _ => false,
    }
}

struct Deed<'a> {
    runs: &'a mut Runs,
    wrong: Option<Wrong>,
    world: World,
}

impl Deed<'_> {
    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    fn say(&mut self, node: usize, word: Word) -> Result<bool, String> {
        let word = match word {
            Word::Take { owner, .. } if self.is(Wrong::NoTakeOver) => Word::Take { owner, dead: 0 },
            word => word,
        };
        let said = self.runs.say(self.world.run, word)?;
        let at = &mut self.world.nodes[node];
        match (said, word) {
            (Said::Nothing, Word::Take { .. }) => {
                at.held = self.runs.at(self.world.run).account.driver_epoch;
                Ok(true)
            }
            // A row that says nothing new is deleted all the same.
            (Said::Nothing | Said::Rejected, Word::Deliver(right, _)) => {
                self.world.inbox[usize::from(right.step)] = None;
                Ok(true)
            }
            (Said::Nothing | Said::Rejected, _) => Ok(false),
            (Said::Changed(then), _) => {
                let fence = if matches!(word, Word::Take { .. }) { 0 } else { at.held };
                let base = self.world.run;
                at.flight = Some(Flight { base, word, fence, unsure: false, applied: false });
                if matches!(word, Word::Finish(_, How::Interrupted)) {
                    self.world.left.interrupts = self.world.left.interrupts.saturating_sub(1);
                }
                if matches!(word, Word::Release { .. }) {
                    self.world.left.releases = self.world.left.releases.saturating_sub(1);
                }
                if let Word::Withdraw { .. } = word
                    && !self.runs.at(base).account.is_held()
                {
                    self.world.left.withdrawals = self.world.left.withdrawals.saturating_sub(1);
                }
                if self.is(Wrong::EarlyDispatch) {
                    self.dispatch(then, word)?;
                }
                Ok(true)
            }
        }
    }

    /// The rules of the store: the driver with its epoch, the sequence number, the deaths that are asserted.
    fn hand_in(&mut self, owner: u8, flight: Flight, blindly: bool) -> Result<Answer, String> {
        let Flight { base, word, fence, applied, .. } = flight;
        let account = &self.runs.at(self.world.run).account;
        let right = (owner, fence);
        let held = (account.driver, account.driver_epoch);
        let epoch_fits = held.1 == fence || self.is(Wrong::NoEpoch);
        if fence != 0 && !(held.0 == owner && epoch_fits) {
            return Ok(Answer::Fenced);
        }
        let same = self.runs.at(base).account.seq == account.seq;
        if !same && !blindly && !self.is(Wrong::NoSequence) {
            return Ok(Answer::Conflict);
        }
        let dead = word.asserts();
        if dead != 0 && self.world.lease(dead) != Lease::Dead {
            return Ok(Answer::Fenced);
        }
        if let Word::Withdraw { step, .. } = word
            && self.world.claims[usize::from(step)] != 0
            && !self.is(Wrong::BlindWithdrawal)
        {
            return Ok(Answer::Claimed);
        }
        let takes = word.takes().is_some_and(|step| self.runs.scope.steps[step].keyed);
        if (takes || matches!(word, Word::Enter { .. }))
            && (account.held(&self.runs.scope) > 0 || self.world.spot == Spot::Others)
            && !self.is(Wrong::NoRoom)
        {
            return Ok(Answer::Full);
        }
        if applied {
            return Err(format!("G2: written twice: {word}"));
        }
        if fence != 0 && held != right {
            return Err(format!("I10: written under {right:?}, while {held:?} drives"));
        }
        match self.runs.append(self.world.run, base, word)? {
            Said::Changed(run) => {
                self.world.run = run;
                if let Word::Deliver(right, _) = word {
                    self.world.inbox[usize::from(right.step)] = None;
                }
                Ok(Answer::Applied(run))
            }
            _ => Err(format!("I4: a member without events: {word}")),
        }
    }

    fn commit(&mut self, node: usize) -> Result<bool, String> {
        let Some(flight) = self.world.nodes[node].flight.take() else { return Ok(false) };
        let owner = self.world.owner(node);
        match self.hand_in(owner, flight, false)? {
            Answer::Applied(run) => self.acknowledge(node, run, flight)?,
            // A copy was faster: event `expected + 1` says so.
            Answer::Conflict if flight.applied => self.acknowledge(node, self.world.run, flight)?,
            Answer::Conflict | Answer::Claimed | Answer::Full => {}
            Answer::Fenced => self.world.nodes[node].held = 0,
        }
        Ok(true)
    }

    fn lose(&mut self, node: usize, fate: Fate) -> Result<bool, String> {
        let Some(flight) = self.world.nodes[node].flight else { return Ok(false) };
        self.world.left.ambiguous = self.world.left.ambiguous.saturating_sub(1);
        let owner = self.world.owner(node);
        let applied =
            fate == Fate::Applied && matches!(self.hand_in(owner, flight, false)?, Answer::Applied(_));
        if fate == Fate::OnTheWire {
            self.world.left.copies = self.world.left.copies.saturating_sub(1);
            self.world.wire = Some((owner, flight));
        }
        self.world.nodes[node].flight = Some(Flight { unsure: true, applied, ..flight });
        Ok(true)
    }

    fn settle(&mut self, node: usize) -> Result<bool, String> {
        let Some(flight) = self.world.nodes[node].flight.filter(|flight| flight.unsure) else {
            return Ok(false);
        };
        let owner = self.world.owner(node);
        if self.is(Wrong::BlindRetry) {
            self.hand_in(owner, flight, true)?;
        }
        if flight.applied {
            self.world.nodes[node].flight = None;
            self.acknowledge(node, self.world.run, flight)?;
        } else {
            self.world.nodes[node].flight = Some(Flight { unsure: false, ..flight });
        }
        Ok(true)
    }

    fn land(&mut self) -> Result<bool, String> {
        let Some((owner, flight)) = self.world.wire.take() else { return Ok(false) };
        let (node, life) = place_of(owner);
        let sent = (self.world.nodes[node].life == life).then_some(self.world.nodes[node].flight).flatten();
        let twin = sent.filter(|sent| (sent.base, sent.word) == (flight.base, flight.word));
        let applied = twin.is_some_and(|twin| twin.applied);
        if let Answer::Applied(_) = self.hand_in(owner, Flight { applied, ..flight }, false)?
            && let Some(twin) = twin
        {
            self.world.nodes[node].flight = Some(Flight { applied: true, ..twin });
        }
        Ok(true)
    }

    /// What a process does when it knows that its member was written.
    fn acknowledge(&mut self, node: usize, run: RunIx, flight: Flight) -> Result<(), String> {
        let at = &mut self.world.nodes[node];
        match flight.word {
            Word::Take { .. } => {
                at.held = self.runs.at(flight.base).account.driver_epoch + 1;
            }
            Word::Release { epoch, .. } => {
                at.held = 0;
                at.former = if self.world.left.stales > 0 { epoch } else { 0 };
                self.world.left.stales = self.world.left.stales.saturating_sub(1);
            }
            Word::Finish(right, _) => {
                self.world.forget(right);
                if self.world.left.echoes > 0 {
                    self.world.left.echoes -= 1;
                    self.world.echo = Some(right);
                }
            }
            Word::Conclude if self.runs.at(run).account.ended => at.held = 0,
            word if !self.is(Wrong::EarlyDispatch) => self.dispatch(run, word)?,
            _ => {}
        }
        Ok(())
    }

    /// Executes what a word has begun, if it has begun something and its owner may count as alive.
    fn dispatch(&mut self, run: RunIx, word: Word) -> Result<(), String> {
        let (Word::Begin { step, owner } | Word::Continue { step, owner }) = word else { return Ok(()) };
        let may = self.world.lease(owner) == Lease::Held || self.is(Wrong::DeadDispatch);
        if !may || self.is(Wrong::Undispatched) {
            return Ok(());
        }
        let mut running = self.runs.at(run).account.running();
        let Some(right) = running.find(|right| (right.step, right.owner) == (step, owner)) else {
            return Err(format!("G5: {word} is to be executed, and the log has ended it"));
        };
        if let Some(doubled) = self.world.doubled(right) {
            return Err(doubled);
        }
        if !self.runs.at(self.world.run).account.is_running(right) || self.world.attempts.contains(&right) {
            return Err(format!("G5: {right} is dispatched, and the log does not say that it has begun"));
        }
        self.world.attempts.push(right);
        self.world.attempts.sort_unstable();
        Ok(())
    }

    /// A claim is compared with the right that is offered, and sets the owner once; the log has no part in it. Who has made it
    /// executes the attempt from here on.
    fn claim(&mut self, node: usize, step: usize) -> Result<bool, String> {
        let (owner, account) = (self.world.owner(node), &self.runs.at(self.world.run).account);
        let Place::Offered { attempt, epoch } = account.steps[step].place else { return Ok(false) };
        let is_free = self.world.claims[step] == 0 || self.is(Wrong::TwoClaims);
        if !is_free || self.world.lease(owner) != Lease::Held {
            return Ok(false);
        }
        let right = Right { step: step as u8, attempt, epoch, owner, remote: true };
        if let Some(doubled) = self.world.doubled(right) {
            return Err(doubled);
        }
        self.world.claims[step] = owner;
        self.world.attempts.push(right);
        self.world.attempts.sort_unstable();
        Ok(true)
    }

    /// A claim by a ticket that has lain somewhere. What it names is not offered any more.
    fn claim_late(&self, node: usize, step: usize) -> Result<bool, String> {
        let owner = self.world.owner(node);
        match self.runs.at(self.world.run).account.old_ticket(step) {
            Some(epoch) if self.is(Wrong::StaleClaim) && self.world.lease(owner) == Lease::Held => {
                let name = ["a", "b"][step];
                Err(format!("G5: {owner} executes {name} under epoch {epoch}, which is void"))
            }
            _ => Ok(false),
        }
    }

    /// What was claimed has ended. That counts as long as the claim does, and once: the death of the owner counts as an end.
    fn deliver(&mut self, right: Right, how: How) -> bool {
        self.world.forget(right);
        let step = usize::from(right.step);
        if self.world.claim(self.runs.at(self.world.run), step) != Some(right) {
            return false;
        }
        if self.world.inbox[step].is_some() {
            return false;
        }
        self.world.inbox[step] = Some((right, how));
        let left = &mut self.world.left;
        if how == How::Interrupted {
            left.interrupts = left.interrupts.saturating_sub(1);
        }
        if left.echoes > 0 {
            left.echoes -= 1;
            self.world.echo = Some(right);
        }
        true
    }

    /// Whoever marks an owner as dead says in the same transaction that what it had claimed, and not delivered, is lost.
    fn tell_of_the_lost(&mut self) {
        for step in 0..STEPS {
            if let Some(right) = self.world.claim(self.runs.at(self.world.run), step)
                && self.world.lease(right.owner) == Lease::Dead
            {
                self.world.inbox[step].get_or_insert((right, How::Lost));
            }
        }
    }

    /// Somebody who has read the log says something, and it is committed at once.
    fn outside(&mut self, word: Word) -> Result<bool, String> {
        let Said::Changed(run) = self.runs.say(self.world.run, word)? else { return Ok(false) };
        self.world.run = run;
        Ok(true)
    }

    fn people(&mut self, word: Word) -> Result<bool, String> {
        if !self.outside(word)? {
            return Ok(false);
        }
        let left = &mut self.world.left;
        let used = match word {
            Word::Pause => &mut left.pauses,
            Word::Cancel => &mut left.cancels,
            Word::Signal => &mut left.signals,
            Word::Resolve { applied: false, .. } => &mut left.denials,
            Word::Retry => &mut left.reopenings,
            _ => return Ok(true),
        };
        *used = used.saturating_sub(1);
        Ok(true)
    }

    fn stale(&mut self, node: usize, word: Word) -> Result<bool, String> {
        let fence = std::mem::take(&mut self.world.nodes[node].former);
        let base = self.world.run;
        if let Said::Changed(_) = self.runs.say(base, word)? {
            let flight = Flight { base, word, fence, unsure: false, applied: false };
            self.hand_in(self.world.owner(node), flight, false)?;
        }
        Ok(true)
    }

    fn renew(&mut self, node: usize) -> bool {
        let owner = self.world.owner(node);
        if self.world.lease(owner) == Lease::Held {
            return true;
        }
        if self.is(Wrong::DeadRenewed) {
            self.world.set_lease(owner, Lease::Held);
        } else {
            self.begin_anew(node, Fate::Gone);
        }
        true
    }

    fn sweep(&mut self) -> bool {
        let past = |(_, lease): &(u8, Lease)| *lease == Lease::Past;
        let owners: Vec<(u8, Lease)> = self.world.owners().filter(past).collect();
        owners.iter().for_each(|(owner, _)| self.world.set_lease(*owner, Lease::Dead));
        self.tell_of_the_lost();
        !owners.is_empty()
    }

    /// Another incarnation of a process, which knows nothing.
    fn begin_anew(&mut self, node: usize, fate: Fate) {
        let owner = self.world.owner(node);
        let life = self.world.nodes[node].life + 1;
        let before = std::mem::replace(&mut self.world.nodes[node], Node { life, ..Node::default() });
        if fate == Fate::OnTheWire {
            self.world.left.copies = self.world.left.copies.saturating_sub(1);
            let unsent = before.flight.filter(|flight| !flight.applied);
            self.world.wire = unsent.map(|flight| (owner, flight)).or(self.world.wire);
        }
        self.world.set_lease(owner_of(node, life), Lease::Held);
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |node: &usize| ["A", "B"][*node];
        match self {
            Self::Say(node, word) => write!(f, "{} decides: {word}", name(node)),
            Self::Commit(node) => write!(f, "{}'s member is committed or refused", name(node)),
            Self::Lose(node, fate) => write!(f, "the answer to {}'s member is lost: {fate:?}", name(node)),
            Self::Settle(node) => write!(f, "{} reads what became of its member", name(node)),
            Self::Land => write!(f, "the copy on the wire reaches the store"),
            Self::Late(right, how) => write!(f, "late: {right} ends: {how:?}"),
            Self::Echo => write!(f, "the last outcome is said again"),
            Self::Claim(node, step) => write!(f, "{} claims {}", name(node), ["a", "b"][*step]),
            Self::ClaimLate(node, step) => {
                write!(f, "{} claims {} by an old ticket", name(node), ["a", "b"][*step])
            }
            Self::Deliver(right, how) => write!(f, "delivered to the store: {right} has ended: {how:?}"),
            Self::Stale(node, word) => write!(f, "a driver that {} had: {word}", name(node)),
            Self::Notice(node) => write!(f, "{} sees that it does not drive the run", name(node)),
            Self::Renew(node) => write!(f, "{} renews", name(node)),
            Self::Lapse(owner) => write!(f, "the time of owner {owner} is over"),
            Self::Sweep => write!(f, "sweep"),
            Self::Crash(node, fate) => write!(f, "{} dies and begins anew; its member: {fate:?}", name(node)),
            Self::OthersTake => write!(f, "another run takes the place"),
            Self::OthersGive => write!(f, "another run gives the place back"),
            Self::People(word) => write!(f, "someone: {word}"),
        }
    }
}
