//! Everything that could happen next in a world, wise or not.

use crate::account::Place;
use crate::act::{Action, Fate};
use crate::bounds::{At, STEPS, Scope, Waits};
use crate::runs::{Ran, Runs};
use crate::word::{How, Right, Word};
use crate::world::{Lease, NODES, Node, Spot, World, place_of};
use orchestrator_core::spec::EffectClass;

/// The words that could be said to what a process drives, or might drive.
pub(crate) fn of_driver(scope: &Scope, ran: &Ran, owner: u8, words: &mut Vec<Word>) {
    for step in 0..STEPS {
        let at = step as u8;
        let goes_on = scope.steps[step].waits != Waits::Never;
        if scope.steps[step].at != At::Away {
            words.push(Word::Begin { step: at, owner });
        }
        if scope.steps[step].at != At::Home {
            words.push(Word::Offer { step: at, owner, goes_on: false });
        }
        // Nobody skips a step that may begin: there is no `if:` here.
        if ran.account.needs(scope, step) == (true, false) {
            words.push(Word::Skip { step: at });
        }
        if goes_on && scope.steps[step].at != At::Home {
            words.push(Word::Offer { step: at, owner, goes_on: true });
        }
        if goes_on && scope.steps[step].at != At::Away {
            words.push(Word::Continue { step: at, owner });
        }
    }
    let keyed = (0..STEPS).filter(|step| scope.steps[*step].keyed);
    words.extend(keyed.map(|step| Word::Park { step: step as u8, owner }));
    if scope.bounded {
        words.extend([Word::Enter { owner }, Word::StandInLine { owner }]);
    }
    words.push(Word::Wake);
    words.push(Word::Conclude);
}

/// How an attempt could end.
pub(crate) fn outcomes(scope: &Scope, ran: &Ran, right: Right, interrupts: bool) -> Vec<How> {
    let step = usize::from(right.step);
    let kind = scope.steps[step];
    let mut hows = vec![How::Done, How::Failed];
    if kind.effect == EffectClass::AtMostOnce {
        hows.push(How::Unknown);
    }
    match kind.waits {
        Waits::Approval if !ran.account.steps[step].has_arrived() => hows.push(How::Asks),
        Waits::Signal if !ran.account.steps[step].has_arrived() => hows.push(How::Listens),
        _ => {}
    }
    if interrupts {
        hows.push(How::Interrupted);
    }
    hows
}

/// Everything that could happen.
pub(crate) fn moves(scope: &Scope, runs: &Runs, world: &World, found: &mut Vec<Action>) {
    let ran = runs.at(world.run);
    found.clear();
    let over = ran.account.ended && world.left.reopenings == 0;
    for node in 0..NODES {
        match world.nodes[node].flight {
            Some(flight) if flight.unsure => found.push(Action::Settle(node)),
            Some(_) => found.push(Action::Commit(node)),
            None if !ran.account.ended => decisions(scope, ran, world, node, found),
            None => {}
        }
        if let Some(flight) = world.nodes[node].flight
            && !flight.unsure
            && world.left.ambiguous > 0
        {
            found.extend([Action::Lose(node, Fate::Applied), Action::Lose(node, Fate::Gone)]);
            if world.left.copies > 0 {
                found.push(Action::Lose(node, Fate::OnTheWire));
            }
        }
        work(scope, ran, world, node, found);
        if !over {
            befalls(world, node, world.matters(ran, node), found);
        }
    }
    if world.wire.is_some() {
        found.push(Action::Land);
    }
    for right in world.attempts.iter().filter(|right| !world.is_current(right.owner)) {
        found.extend([How::Done, How::Failed].map(|how| Action::Late(*right, how)));
    }
    if world.echo.is_some() {
        found.push(Action::Echo);
    }
    if !over {
        let passing = world.owners().filter(|(owner, lease)| {
            let may = world.left.lapses > 0 && world.matters(ran, place_of(*owner).0);
            *lease == Lease::Held && (!world.is_current(*owner) || may)
        });
        found.extend(passing.map(|(owner, _)| Action::Lapse(owner)));
        found.push(Action::Sweep);
        let is_free = world.spot == Spot::Free && ran.account.held(scope) == 0;
        if world.left.others > 0 && is_free {
            found.push(Action::OthersTake);
        }
        if world.spot == Spot::Others {
            found.push(Action::OthersGive);
        }
    }
    people(scope, world, found);
}

/// What a process without a member on its way could decide.
fn decisions(scope: &Scope, ran: &Ran, world: &World, node: usize, found: &mut Vec<Action>) {
    let owner = world.owner(node);
    let (held, driver) = (world.nodes[node].held, ran.account.driver);
    if held == 0 {
        let dead = driver != 0 && world.lease(driver) == Lease::Dead;
        let word = Word::Take { owner, dead: if dead { driver } else { 0 } };
        // The processes are alike: that the second one is the first to do something is the same world.
        if node == 0 || world.nodes[0] != Node::default() || world.run != 0 {
            found.push(Action::Say(node, word));
        }
        return;
    }
    if (driver, ran.account.driver_epoch) != (owner, held) {
        found.push(Action::Notice(node));
    }
    let mut words = Vec::new();
    of_driver(scope, ran, owner, &mut words);
    let interrupts = world.left.interrupts > 0;
    for right in world.executed_by(owner).filter(|right| !right.remote) {
        let hows = outcomes(scope, ran, right, interrupts);
        words.extend(hows.into_iter().map(|how| Word::Finish(right, how)));
    }
    let dead = world.owners().filter(|(_, lease)| *lease == Lease::Dead);
    words.extend(dead.map(|(owner, _)| Word::Lost { owner }));
    offers(ran, world, &mut words);
    if world.left.releases > 0 && world.executed_by(owner).all(|right| right.remote) {
        words.push(Word::Release { owner, epoch: held });
    }
    found.extend(words.into_iter().map(|word| Action::Say(node, word)));
}

/// What a driver could do with what it has offered.
fn offers(ran: &Ran, world: &World, words: &mut Vec<Word>) {
    for step in 0..STEPS {
        if let Place::Offered { epoch, .. } = ran.account.steps[step].place {
            // It does not know whether it is claimed: the store will say.
            if ran.account.is_held() || world.left.withdrawals > 0 {
                words.push(Word::Withdraw { step: step as u8, epoch });
            }
            let claim = world.claim(ran, step).filter(|_| ran.account.is_held());
            words.extend(claim.map(Word::Learn));
        }
        words.extend(world.inbox[step].map(|(right, how)| Word::Deliver(right, how)));
    }
}

/// What the processes do that execute what others drive.
fn work(scope: &Scope, ran: &Ran, world: &World, node: usize, found: &mut Vec<Action>) {
    for step in 0..STEPS {
        let has_ticket = ran.account.old_ticket(step).is_some() && scope.steps[step].at != At::Home;
        if has_ticket {
            found.push(Action::ClaimLate(node, step));
        }
        if let Place::Offered { .. } = ran.account.steps[step].place {
            found.push(Action::Claim(node, step));
        }
    }
    for right in world.executed_by(world.owner(node)).filter(|right| right.remote) {
        let hows = outcomes(scope, ran, right, world.left.interrupts > 0);
        found.extend(hows.into_iter().map(|how| Action::Deliver(right, how)));
    }
}

/// What can befall a process, and what a driver of it does that has left.
fn befalls(world: &World, node: usize, matters: bool, found: &mut Vec<Action>) {
    found.push(Action::Renew(node));
    if world.nodes[node].former != 0 {
        let owner = world.owner(node);
        found.extend((0..STEPS as u8).map(|step| Action::Stale(node, Word::Begin { step, owner })));
        found.push(Action::Stale(node, Word::Wake));
    }
    if world.left.crashes > 0 && matters {
        found.push(Action::Crash(node, Fate::Gone));
        let sent = world.nodes[node].flight.is_some_and(|flight| !flight.applied);
        if sent && world.left.copies > 0 {
            found.push(Action::Crash(node, Fate::OnTheWire));
        }
    }
}

/// What people could say.
fn people(scope: &Scope, world: &World, found: &mut Vec<Action>) {
    let left = world.left;
    let mut say = |may: bool, word: Word| {
        if may {
            found.push(Action::People(word));
        }
    };
    for step in 0..STEPS {
        let at = step as u8;
        say(scope.steps[step].waits == Waits::Approval, Word::Approve { step: at });
        say(true, Word::Resolve { step: at, applied: true });
        say(left.denials > 0, Word::Resolve { step: at, applied: false });
    }
    say(left.signals > 0, Word::Signal);
    say(left.pauses > 0, Word::Pause);
    say(scope.budget.pauses > 0, Word::Resume);
    say(left.cancels > 0, Word::Cancel);
    say(left.reopenings > 0, Word::Retry);
}

/// What happens next where nothing goes wrong any more and everybody does what is theirs; `None` where nothing is left
/// to do.
pub(crate) fn fair(scope: &Scope, runs: &Runs, world: &World) -> Option<Action> {
    let ran = runs.at(world.run);
    for node in 0..NODES {
        match world.nodes[node].flight {
            Some(flight) if flight.unsure => return Some(Action::Settle(node)),
            Some(_) => return Some(Action::Commit(node)),
            None => {}
        }
    }
    if world.wire.is_some() {
        return Some(Action::Land);
    }
    let owners = || world.owners();
    if let Some((owner, _)) =
        owners().find(|(owner, lease)| *lease == Lease::Held && !world.is_current(*owner))
    {
        return Some(Action::Lapse(owner));
    }
    if owners().any(|(_, lease)| lease == Lease::Past) {
        return Some(Action::Sweep);
    }
    if let Some(node) = (0..NODES).find(|node| world.lease(world.owner(*node)) == Lease::Dead) {
        return Some(Action::Renew(node));
    }
    if let Some(right) = world.attempts.iter().find(|right| !world.is_current(right.owner)) {
        return Some(Action::Late(*right, How::Done));
    }
    if world.echo.is_some() {
        return Some(Action::Echo);
    }
    if ran.account.ended {
        return None;
    }
    if world.spot == Spot::Others {
        return Some(Action::OthersGive);
    }
    by_driver(scope, ran, world).or_else(|| by_workers(ran, world)).or_else(|| by_people(ran))
}

/// What the driver does, or who becomes it.
fn by_driver(scope: &Scope, ran: &Ran, world: &World) -> Option<Action> {
    let (driver, epoch) = (ran.account.driver, ran.account.driver_epoch);
    let holds = |node: &usize| world.nodes[*node].held != 0;
    let drives = |node: &usize| (world.owner(*node), world.nodes[*node].held) == (driver, epoch);
    if let Some(node) = (0..NODES).find(|node| holds(node) && !drives(node)) {
        return Some(Action::Notice(node));
    }
    let Some(node) = (0..NODES).find(drives) else {
        let node = (0..NODES).find(|node| world.owner(*node) == driver).unwrap_or(0);
        let dead = driver != 0 && world.lease(driver) == Lease::Dead;
        let word = Word::Take { owner: world.owner(node), dead: if dead { driver } else { 0 } };
        return Some(Action::Say(node, word));
    };
    let owner = driver;
    let executed =
        world.executed_by(owner).find(|right| !right.remote).map(|right| Word::Finish(right, How::Done));
    let lost = ran.account.running().find(|right| world.lease(right.owner) == Lease::Dead);
    let lost = lost.map(|right| Word::Lost { owner: right.owner });
    let open = (0..STEPS).find_map(|step| {
        let at = step as u8;
        if let Some((right, how)) = world.inbox[step] {
            return Some(Word::Deliver(right, how));
        }
        let away = scope.steps[step].at != At::Home;
        let entry = &ran.account.steps[step];
        let goes_on = !ran.account.paused && !ran.account.cancelled;
        let begins = entry.place == Place::Arrived
            || (entry.place == Place::Open && ran.account.needs(scope, step) == (true, true));
        if scope.steps[step].keyed && goes_on && begins && ran.account.held(scope) > 0 {
            return (!entry.parked).then_some(Word::Park { step: at, owner });
        }
        match (ran.account.steps[step].place, ran.account.needs(scope, step)) {
            (Place::Offered { epoch, .. }, _) if ran.account.is_held() => {
                Some(world.claim(ran, step).map_or(Word::Withdraw { step: at, epoch }, Word::Learn))
            }
            _ if ran.account.is_held() || !ran.account.has_entered() => None,
            (Place::Open, (true, true)) if away => Some(Word::Offer { step: at, owner, goes_on: false }),
            (Place::Arrived, _) if away => Some(Word::Offer { step: at, owner, goes_on: true }),
            (Place::Open, (true, true)) => Some(Word::Begin { step: at, owner }),
            (Place::Open, (true, false)) => Some(Word::Skip { step: at }),
            (Place::Arrived, _) => Some(Word::Continue { step: at, owner }),
            (Place::Backoff, _) => Some(Word::Wake),
            _ => None,
        }
    });
    let ends = ran.state.is_settled().then_some(Word::Conclude);
    let account = &ran.account;
    let begins = (0..STEPS).any(|step| {
        let place = account.steps[step].place;
        place == Place::Arrived || place == Place::Open && account.needs(scope, step).0
    });
    let enters = begins && !account.has_entered() && !account.is_held();
    let enters = enters.then_some(Word::Enter { owner });
    executed.or(lost).or(enters).or(open).or(ends).map(|word| Action::Say(node, word))
}

/// Who claims what is offered, and how that ends.
fn by_workers(ran: &Ran, world: &World) -> Option<Action> {
    (0..STEPS).find_map(|step| match (ran.account.away(step)?, world.claim(ran, step)) {
        (_, Some(right)) => world.attempts.contains(&right).then_some(Action::Deliver(right, How::Done)),
        _ => Some(Action::Claim((step + 1) % NODES, step)),
    })
}

/// What somebody says to a run that only an outsider can move.
fn by_people(ran: &Ran) -> Option<Action> {
    if ran.account.paused {
        return Some(Action::People(Word::Resume));
    }
    let word = (0u8..).zip(&ran.account.steps).find_map(|(step, entry)| match entry.place {
        Place::Waiting if entry.listens => Some(Word::Signal),
        Place::Waiting => Some(Word::Approve { step }),
        Place::Unknown | Place::Quarantined => Some(Word::Resolve { step, applied: true }),
        _ => None,
    });
    word.map(Action::People)
}
