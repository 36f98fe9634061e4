//! Places, rates and paths under keys. What is found is read, the rules say what becomes of it, and that is written with the members
//! that want it: where somebody else has been faster, nothing is written, and all of it begins anew.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use orchestrator_core::id::{RunId, Unit};
use orchestrator_core::machine::{Line, PATHS, Room, Spent, Spot, Waiter, Who, Wish, rate_of};
use orchestrator_core::port::store::{Admission, HoldRow, KeyQuery, Member, StoreError, WaiterRow};
use orchestrator_core::spec::Paths;
use orchestrator_core::time::Timestamp;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

use crate::commit::{Placed, RACES};
use crate::dialect::{Dialect, WriteError};
use crate::entity::{holds, keys, owners, runs, waiters};
use crate::member::rank;
use crate::read::limit;
use crate::rows;
use crate::script::{Arg, Batch, IntoArg, Rows};
use crate::sections::{HOLD, LEAVE, MOVE_KEYS, NEW_KEYS, RELEASE, SECTIONS, WAIT};
use crate::store::Shared;

/// How many more of those that wait are read than places can become free: for limits that differ.
const SPARE: usize = 16;

/// How many of those that wait for paths, or under a rate, are looked at: those behind them wait as long as these do.
const FIRST: usize = 256;

/// A project, and a key of it.
type Name = (Arc<str>, Arc<str>);

/// Of each key: which runs want something, and how many of those that wait may be given a place.
type Asked = BTreeMap<Name, (HashSet<Uuid>, usize)>;

/// What a member takes and cannot, and how much of it it could take.
pub(crate) type Full = Vec<(Spot, Room)>;

/// What was found of a key.
#[derive(Debug, Default)]
struct Found {
    /// What its row was written with last; `None` if it has none.
    mark: Option<Uuid>,
    before: BTreeMap<Who, Waiter>,
    line: Line,
    /// Whether a member does something to it. One that only asks leaves it as it is.
    is_changed: bool,
}

/// What the rules say of the members of a group.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// Those that find too few places, by their places in the batch.
    pub(crate) full: Vec<(usize, Full)>,
    /// What the others make of the keys.
    pub(crate) changes: Changes,
}

/// What becomes of the keys that some members name.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    found: BTreeMap<Name, Found>,
    /// By the store's clock; of no importance where no key is of a rate.
    now: Timestamp,
    released: Rows,
    held: Rows,
}

impl Changes {
    /// Takes in what a member wants; or says why that cannot be.
    fn admit(&mut self, member: &Member, admission: &Admission) -> Result<(), Full> {
        let wishes = admission.wishes();
        let name = |key: &Arc<str>| (admission.project.clone(), key.clone());
        let mut full = Full::new();
        for (key, wish) in &wishes {
            let short =
                self.found.entry(name(key)).or_default().line.short(member.run, wish, self.now).into_iter();
            full.extend(short.map(|(paths, room)| (Spot { key: (*key).clone(), paths }, room)));
        }
        if !full.is_empty() {
            return Err(full);
        }
        for (key, wish) in &wishes {
            // There is room: it was looked at just now.
            let found = self.found.entry(name(key)).or_default();
            let _ = found.line.admit(member.run, wish, member.at, self.now);
            found.is_changed = true;
        }
        let run = Arg::Id(member.run.as_uuid());
        let taken: HashSet<_> = admission.takes.iter().map(|(unit, hold)| (*unit, &hold.key)).collect();
        for (unit, key) in admission.releases.iter().filter(|(unit, key)| !taken.contains(&(*unit, key))) {
            let (project, key) = (admission.project.clone().arg(), key.clone().arg());
            self.released.push([run.clone(), unit.step.0.arg(), rank(unit.step, unit.item()), project, key]);
        }
        for (unit, hold) in admission.takes.iter().filter(|(_, hold)| hold.claim.per().is_none()) {
            let (project, key) = (admission.project.clone().arg(), hold.key.clone().arg());
            let (step, item) = (unit.step.0.arg(), rank(unit.step, unit.item()));
            let paths = hold.claim.paths().map(|paths| text_of(paths)).arg();
            self.held.push([run.clone(), step, item, project, key, paths, member.at.arg()]);
        }
        Ok(())
    }

    /// Adds to a batch what is to be written. `mark` is like none before.
    pub(crate) fn write(self, batch: &mut Batch, mark: Uuid) {
        let (mut moved, mut new) = (Rows::default(), Rows::default());
        let (mut left, mut waits) = (Rows::default(), Rows::default());
        for ((project, key), Found { mark: old, before, line, .. }) in
            self.found.into_iter().filter(|(_, found)| found.is_changed)
        {
            let name = || (project.clone().arg(), key.clone().arg());
            let (spent, past_at) = counted(&key, &line);
            let (project, key) = name();
            // One of which nothing is held stays: whoever has read it compares it. `prune` removes it.
            match old {
                Some(old) => {
                    moved.push([
                        project,
                        key,
                        Arg::Id(old),
                        line.held().arg(),
                        Arg::Id(mark),
                        spent,
                        past_at,
                    ]);
                }
                None => new.push([project, key, line.held().arg(), Arg::Id(mark), spent, past_at]),
            }
            for (run, paths) in before.keys().filter(|who| !line.waiters().contains_key(who)) {
                let (project, key) = name();
                left.push([project, key, Arg::Id(run.as_uuid()), claim_of(paths.as_deref()).arg()]);
            }
            for (who, waiter) in line.waiters().iter().filter(|(who, now)| before.get(who) != Some(now)) {
                let ((project, key), (run, paths)) = (name(), who);
                let Waiter { rank, limit, since, granted_at } = *waiter;
                let (run, claim) = (Arg::Id(run.as_uuid()), claim_of(paths.as_deref()).arg());
                let paths = paths.as_deref().map(text_of).arg();
                let times = [rank.arg(), limit.arg(), since.arg(), granted_at.arg()];
                let [rank, limit, since, granted_at] = times;
                waits.push([project, key, run, claim, paths, rank, limit, since, granted_at]);
            }
        }
        let all = [
            (MOVE_KEYS, moved),
            (NEW_KEYS, new),
            (RELEASE, self.released),
            (HOLD, self.held),
            (LEAVE, left),
            (WAIT, waits),
        ];
        all.into_iter().filter(|(_, rows)| !rows.is_empty()).for_each(|(index, rows)| batch.add(index, rows));
    }
}

/// What has begun under a key of a rate, and when all of it will be of the past.
fn counted(key: &str, line: &Line) -> (Arg, Arg) {
    let spent = line.spent().map(|spent| serde_json::to_string(spent).unwrap_or_default());
    let past_at = rate_of(key).and_then(|(per, _)| line.spent()?.until(per));
    (spent.arg(), past_at.arg())
}

/// As a column keeps it.
fn text_of(paths: &Paths) -> String {
    serde_json::to_string(paths).unwrap_or_default()
}

/// What tells paths from others in a key of a table, where their text might be too long; empty for a place.
fn claim_of(paths: Option<&Paths>) -> String {
    paths.map(|paths| paths.digest().to_string()).unwrap_or_default()
}

/// Those that wait for a key.
fn of_key(project: &str, key: &str) -> Select<waiters::Entity> {
    waiters::Entity::find().filter(waiters::Column::Project.eq(project)).filter(waiters::Column::Key.eq(key))
}

/// So many of them that were given nothing yet, those first whose turn is first.
fn first_of(project: &str, key: &str, most: usize) -> Select<waiters::Entity> {
    of_key(project, key)
        .filter(waiters::Column::GrantedAt.is_null())
        .order_by_asc(waiters::Column::Rank)
        .order_by_asc(waiters::Column::Run)
        .order_by_asc(waiters::Column::Claim)
        .limit(limit(most))
}

/// What both tables of places are asked for.
fn asked<C: ColumnTrait>(query: &KeyQuery, project: C, key: C, run: C) -> Condition {
    let runs = (!query.runs.is_empty()).then(|| run.is_in(query.runs.iter().map(RunId::as_uuid)));
    Condition::all()
        .add_option(query.project.as_deref().map(|asked| project.eq(asked)))
        .add_option(query.key.as_deref().map(|asked| key.eq(asked)))
        .add_option(runs)
}

impl<D: Dialect> Shared<D> {
    /// What the rules say of the keys that these members name, one member after the other.
    pub(crate) async fn admit(&self, group: &[Placed]) -> Result<Admitted, StoreError> {
        let wanted = || {
            group.iter().filter_map(|(place, member)| Some((*place, member, member.admission.as_deref()?)))
        };
        let found = self.found(wanted().map(|(_, member, admission)| (member, admission))).await?;
        let is_of_rate = found.keys().any(|(_, key)| rate_of(key).is_some());
        let now = if is_of_rate { self.dialect.now().await? } else { Timestamp::default() };
        let (mut changes, mut full) = (Changes { found, now, ..Changes::default() }, Vec::new());
        for (place, member, admission) in wanted() {
            if let Err(keys) = changes.admit(member, admission) {
                full.push((place, keys));
            }
        }
        Ok(Admitted { full, changes })
    }

    /// The keys that members name, as they are now.
    async fn found<'m>(
        &self,
        wanted: impl Iterator<Item = (&'m Member, &'m Admission)>,
    ) -> Result<BTreeMap<Name, Found>, StoreError> {
        // Of each key: which runs want something, and how many of those before them may go.
        let mut asked = Asked::new();
        for (member, admission) in wanted {
            for (key, wish) in admission.wishes() {
                let (runs, places) = asked.entry((admission.project.clone(), key.clone())).or_default();
                runs.insert(member.run.as_uuid());
                *places += wish.releases.len() + 1;
            }
        }
        self.found_of(&asked).await
    }

    /// As [`Shared::found`]: of each key, for these runs, and where so many more may be given a place.
    async fn found_of(&self, asked: &Asked) -> Result<BTreeMap<Name, Found>, StoreError> {
        if asked.is_empty() {
            return Ok(BTreeMap::new());
        }
        let names = asked.keys().map(|(project, key)| (project.to_string(), key.to_string()));
        let columns = Expr::tuple([Expr::col(keys::Column::Project), Expr::col(keys::Column::Key)]);
        let rows = keys::Entity::find().filter(columns.in_tuples(names)).all(self.db());
        let mut found: BTreeMap<Name, Found> =
            asked.keys().map(|name| (name.clone(), Found::default())).collect();
        for row in self.read(rows).await? {
            let name: Name = (row.project.into(), row.key.into());
            let Some((runs, places)) = asked.get(&name) else { continue };
            let (before, line) = if rate_of(&name.1).is_some() {
                let spent = row.spent.as_deref().map_or(Ok(Spent::default()), serde_json::from_str);
                let spent = spent.map_err(|error| {
                    StoreError::Corrupt(format!("what has begun under `{}` cannot be read: {error}", name.1))
                })?;
                let (before, is_longer) = self.longer_line(&name, runs).await?;
                let line = Line::of_rate(spent, before.clone(), is_longer);
                (before, line)
            } else if name.1.starts_with(PATHS) {
                let (before, is_longer) = self.longer_line(&name, runs).await?;
                let line = Line::of_paths(self.locks(&name).await?, before.clone(), is_longer);
                (before, line)
            } else {
                let before = self.line(&name, runs, *places).await?;
                let line = Line::new(rows::number(row.held)?, before.clone());
                (before, line)
            };
            found.insert(name, Found { mark: Some(row.mark), before, line, is_changed: false });
        }
        Ok(found)
    }

    /// Those that wait for a key: these runs, and the first of the others.
    async fn line(
        &self,
        (project, key): &Name,
        runs: &HashSet<Uuid>,
        places: usize,
    ) -> Result<BTreeMap<Who, Waiter>, StoreError> {
        let own = of_key(project, key).filter(waiters::Column::Run.is_in(runs.iter().copied()));
        let mut line = self.standing(first_of(project, key, places + runs.len() + SPARE)).await?;
        line.extend(self.standing(own).await?);
        Ok(line)
    }

    /// Those that wait for paths of a workspace, or under a rate: these runs, all that were given some, and the first of the others;
    /// and whether there are more of those.
    async fn longer_line(
        &self,
        (project, key): &Name,
        runs: &HashSet<Uuid>,
    ) -> Result<(BTreeMap<Who, Waiter>, bool), StoreError> {
        let own = waiters::Column::Run.is_in(runs.iter().copied());
        let own_or_given = of_key(project, key).filter(own.or(waiters::Column::GrantedAt.is_not_null()));
        let mut line = self.standing(first_of(project, key, FIRST)).await?;
        let is_longer = line.len() >= FIRST;
        line.extend(self.standing(own_or_given).await?);
        Ok((line, is_longer))
    }

    /// Those that wait, as a query asks for them.
    async fn standing(&self, asked: Select<waiters::Entity>) -> Result<BTreeMap<Who, Waiter>, StoreError> {
        let rows = self.read(asked.all(self.db())).await?.into_iter().map(rows::waiter);
        let line = rows.map(|row| {
            let WaiterRow { run, paths, rank, limit, since, granted_at, .. } = row?;
            Ok(((run, paths), Waiter { rank, limit, since, granted_at }))
        });
        line.collect()
    }

    /// The paths of a workspace that are held.
    async fn locks(&self, (project, key): &Name) -> Result<BTreeMap<(RunId, Unit), Arc<Paths>>, StoreError> {
        let of_key = holds::Entity::find()
            .filter(holds::Column::Project.eq(&**project))
            .filter(holds::Column::Key.eq(&**key));
        let mut locks = BTreeMap::new();
        for row in self.read(of_key.all(self.db())).await? {
            let row = rows::hold(row)?;
            locks.extend(row.paths.map(|paths| ((row.run, Unit::new(row.step, row.item)), paths)));
        }
        Ok(locks)
    }

    pub(crate) async fn holds(&self, query: KeyQuery) -> Result<Vec<HoldRow>, StoreError> {
        let asked = asked(&query, holds::Column::Project, holds::Column::Key, holds::Column::Run);
        let mut select = holds::Entity::find().filter(asked).limit(limit(query.page()));
        for column in [
            holds::Column::Project,
            holds::Column::Key,
            holds::Column::Since,
            holds::Column::Run,
            holds::Column::Step,
            holds::Column::Item,
        ] {
            select = select.order_by_asc(column);
        }
        self.read(select.all(self.db())).await?.into_iter().map(rows::hold).collect()
    }

    pub(crate) async fn waiters(&self, query: KeyQuery) -> Result<Vec<WaiterRow>, StoreError> {
        let asked = asked(&query, waiters::Column::Project, waiters::Column::Key, waiters::Column::Run);
        let mut select = waiters::Entity::find().filter(asked).limit(limit(query.page()));
        if query.granted {
            select = select.filter(waiters::Column::GrantedAt.is_not_null());
        }
        select = select
            .order_by_asc(waiters::Column::Project)
            .order_by_asc(waiters::Column::Key)
            .order_by_asc(Expr::col(waiters::Column::GrantedAt).is_null())
            .order_by_asc(waiters::Column::Rank)
            .order_by_asc(waiters::Column::Run)
            .order_by_asc(waiters::Column::Claim);
        self.read(select.all(self.db())).await?.into_iter().map(rows::waiter).collect()
    }

    /// Runs whose drivers are dead leave every line, and what they were given is given on: whoever takes them up stands at
    /// the end again. Looked for once the death is known to all.
    pub(crate) async fn forsake(&self) -> Result<(), StoreError> {
        for _ in 0..=RACES {
            let forsaken = self.forsaken().await?;
            if forsaken.is_empty() {
                return Ok(());
            }
            let mut asked = Asked::new();
            for (name, (run, _)) in &forsaken {
                let (runs, places) = asked.entry(name.clone()).or_default();
                runs.insert(run.as_uuid());
                *places += 1;
            }
            let (found, at) = (self.found_of(&asked).await?, self.dialect.now().await?);
            let mut changes = Changes { found, ..Changes::default() };
            // Whoever was taken up meanwhile stays: it has come again, or will find the key changed.
            let still = self.forsaken().await?;
            for (name, (run, paths)) in forsaken.into_iter().filter(|row| still.contains(row)) {
                if let Some(found) = changes.found.get_mut(&name) {
                    let leaves = Wish { leaves: vec![paths], ..Wish::default() };
                    // Whoever takes nothing is not refused.
                    let _ = found.line.admit(run, &leaves, at, at);
                    found.is_changed = true;
                }
            }
            let mut batch = Batch::new(&SECTIONS);
            changes.write(&mut batch, Uuid::now_v7());
            if batch.is_empty() {
                continue;
            }
            let (pen, mut hand) = self.free_pen().await;
            let script = batch.finish(&mut hand.texts, D::WORDS);
            match pen.run(&mut hand, script).await {
                // Others may have been left in between.
                Ok(_) | Err(WriteError::Refused) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Runs in lines whose drivers are dead.
    async fn forsaken(&self) -> Result<BTreeSet<(Name, Who)>, StoreError> {
        let dead = Query::select()
            .column(owners::Column::Id)
            .from(owners::Entity)
            .and_where(owners::Column::Dead.eq(1))
            .take();
        let left = Query::select()
            .column(runs::Column::Id)
            .from(runs::Entity)
            .and_where(runs::Column::Driver.in_subquery(dead))
            .take();
        let found = waiters::Entity::find().filter(waiters::Column::Run.in_subquery(left)).all(self.db());
        let rows = self.read(found).await?.into_iter().map(rows::waiter);
        rows.map(|row| row.map(|row| ((row.project, row.key), (row.run, row.paths)))).collect()
    }
}
