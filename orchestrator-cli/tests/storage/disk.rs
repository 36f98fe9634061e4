//! A disk under a folder: what was asked of it, what it has promised, and what it may hold after a loss of power.
//!
//! What was synced is there. Of everything else that was asked for, any part may be: whole or torn at its sectors, in any
//! order; a name in a folder that was not synced may be the old one. What nobody has written keeps what it held.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use crate::chance::Chance;
use crate::trace::{Arg, Call, DELETED};

/// What a disk writes whole or not at all, in bytes.
const SECTOR: usize = 512;

/// A file or a folder, whatever it is called.
type Node = usize;

/// The folder under which all of it is. It was there before.
const ROOT: Node = 0;

#[derive(Debug)]
enum Change {
    Write {
        at: usize,
        bytes: Vec<u8>,
    },
    Cut {
        len: usize,
    },
    /// A name in the folder stands for something else from now on, or for nothing.
    Name {
        name: OsString,
        to: Option<Node>,
    },
    /// A name goes from one folder to another; to be found in both.
    Move {
        out_of: (Node, OsString),
        name: OsString,
        node: Node,
    },
}

/// Something that was asked of the disk.
#[derive(Debug)]
struct Op {
    node: Node,
    change: Change,
    /// Its place in the order of calls, from when to when.
    from: usize,
    until: usize,
    /// From when on it is on the disk for certain.
    durable: usize,
    /// Whether a sync of it has failed.
    given_up: bool,
}

/// Bytes that were given to the outside world.
#[derive(Debug)]
struct Said {
    from: usize,
    file: PathBuf,
    bytes: Vec<u8>,
}

/// A line that a process has printed, and when it began to.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) from: usize,
    pub(crate) text: String,
}

/// Syncs that are overlooked: faults of our own, to see that they are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deaf {
    /// None.
    No,
    /// Those of folders with large values.
    ToFolders,
    /// Those of large values themselves.
    ToValues,
    /// Those of the log of the database.
    ToLog,
}

/// How much survives of what was not synced.
#[derive(Debug, Clone, Copy)]
enum Luck {
    None,
    All,
    SomeWrites,
    SomeSectors,
    /// Those before some moment, the last one torn.
    UpTo(usize),
    AllBut(usize),
    Only(usize),
    NamesAlone,
    BytesAlone,
}

/// What was asked of the disk below a folder.
#[derive(Debug)]
pub(crate) struct Disk {
    ops: Vec<Op>,
    folders: BTreeSet<Node>,
    /// Every moment at which something is different from the one before.
    pub(crate) moments: Vec<usize>,
    pub(crate) lines: Vec<Line>,
    pub(crate) syncs: usize,
}

impl Disk {
    /// What calls have done below `root`, and what processes have printed into the files below `said`.
    pub(crate) fn read(calls: &[Call], root: &Path, said: &Path, deaf: Deaf) -> Self {
        let mut reader = Reading::new(root, said, deaf);
        calls.iter().for_each(|call| reader.take(call));
        reader.done()
    }

    /// Makes, in the folder `into`, what the disk may hold if the power goes at `moment`.
    pub(crate) fn rebuild(&self, moment: usize, chance: &mut Chance, into: &Path) {
        let open = |op: &&Op| op.from < moment && op.durable >= moment;
        let count = self.ops.iter().filter(open).count().max(1);
        let luck = match chance.below(9) {
            0 => Luck::None,
            1 => Luck::All,
            2 => Luck::SomeWrites,
            3 => Luck::SomeSectors,
            4 => Luck::UpTo(chance.below(count)),
            5 => Luck::AllBut(chance.below(count)),
            6 => Luck::Only(chance.below(count)),
            7 => Luck::NamesAlone,
            _ => Luck::BytesAlone,
        };
        let mut state = State::default();
        let mut nth = 0;
        for op in self.ops.iter().filter(|op| op.from < moment) {
            if op.durable < moment {
                state.apply(op);
            } else {
                state.perhaps(op, luck, nth, chance);
                nth += 1;
            }
        }
        self.put(&state, ROOT, into);
    }

    fn put(&self, state: &State<'_>, folder: Node, into: &Path) {
        for (name, node) in state.names.get(&folder).into_iter().flatten() {
            let path = into.join(name);
            if self.folders.contains(node) {
                fs::create_dir(&path).unwrap();
                self.put(state, *node, &path);
            } else {
                fs::write(&path, state.bytes.get(node).map_or(&[][..], |bytes| bytes)).unwrap();
            }
        }
    }
}

/// A disk that is read after the power has come back.
#[derive(Debug, Default)]
struct State<'d> {
    bytes: HashMap<Node, Vec<u8>>,
    names: HashMap<Node, BTreeMap<&'d OsString, Node>>,
}

impl<'d> State<'d> {
    fn apply(&mut self, op: &'d Op) {
        match &op.change {
            Change::Write { at, bytes } => self.write(op.node, *at, bytes),
            Change::Cut { len } => self.bytes.entry(op.node).or_default().resize(*len, 0),
            Change::Name { name, to } => self.name(op.node, name, *to),
            Change::Move { out_of, name, node } => {
                self.name(out_of.0, &out_of.1, None);
                self.name(op.node, name, Some(*node));
            }
        }
    }

    fn name(&mut self, folder: Node, name: &'d OsString, to: Option<Node>) {
        let names = self.names.entry(folder).or_default();
        match to {
            Some(node) => names.insert(name, node),
            None => names.remove(name),
        };
    }

    fn write(&mut self, node: Node, at: usize, bytes: &[u8]) {
        let file = self.bytes.entry(node).or_default();
        if file.len() < at + bytes.len() {
            file.resize(at + bytes.len(), 0);
        }
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Applies what luck leaves of something that was not synced.
    fn perhaps(&mut self, op: &'d Op, luck: Luck, nth: usize, chance: &mut Chance) {
        let is_name = matches!(op.change, Change::Name { .. } | Change::Move { .. });
        let survives = match luck {
            Luck::None => false,
            Luck::All => true,
            Luck::SomeWrites => chance.coin(),
            Luck::SomeSectors => return self.tear(op, chance),
            Luck::UpTo(last) if nth == last => return self.tear(op, chance),
            Luck::UpTo(last) => nth < last,
            Luck::AllBut(one) => nth != one,
            Luck::Only(one) => nth == one,
            Luck::NamesAlone => is_name,
            Luck::BytesAlone => !is_name,
        };
        if survives {
            self.apply(op);
        }
    }

    /// Some of the sectors.
    fn tear(&mut self, op: &'d Op, chance: &mut Chance) {
        let Change::Write { at, bytes } = &op.change else {
            if chance.coin() {
                self.apply(op);
            }
            return;
        };
        let mut begin = 0;
        while begin < bytes.len() {
            let end = ((at + begin) / SECTOR * SECTOR + SECTOR - at).min(bytes.len());
            if chance.coin() {
                self.write(op.node, at + begin, &bytes[begin..end]);
            }
            begin = end;
        }
    }
}

/// Calls on their way to a [`Disk`].
struct Reading<'p> {
    root: &'p Path,
    said: &'p Path,
    deaf: Deaf,
    ops: Vec<Op>,
    spoken: Vec<Said>,
    moments: BTreeSet<usize>,
    folders: BTreeSet<Node>,
    /// What each path stands for now; those that were removed while somebody had them open among them.
    live: HashMap<PathBuf, Node>,
    nodes: usize,
    syncs: usize,
}

impl<'p> Reading<'p> {
    fn new(root: &'p Path, said: &'p Path, deaf: Deaf) -> Self {
        Self {
            root,
            said,
            deaf,
            ops: Vec::new(),
            spoken: Vec::new(),
            moments: BTreeSet::new(),
            folders: BTreeSet::from([ROOT]),
            live: HashMap::from([(root.to_owned(), ROOT)]),
            nodes: 1,
            syncs: 0,
        }
    }

    fn take(&mut self, call: &Call) {
        if call.answer < 0 {
            if matches!(&*call.name, "fsync" | "fdatasync") {
                self.fail(call);
            }
            return;
        }
        match &*call.name {
            "openat" | "open" | "creat" => self.open(call),
            "write" | "pwrite64" => self.write(call),
            "fsync" | "fdatasync" => self.sync(call),
            "ftruncate" => {
                if let Some(node) = self.node_of(&call.args[0]) {
                    self.op(node, Change::Cut { len: number(&call.args[1]) }, call);
                }
            }
            "rename" | "renameat" | "renameat2" => self.rename(call),
            "unlink" | "unlinkat" | "rmdir" => self.unlink(call),
            "mkdir" | "mkdirat" => {
                let path = self.path_of(&call.args);
                if path.starts_with(self.root) {
                    let node = self.new_node(&path, call);
                    self.folders.insert(node);
                }
            }
            // What is not understood must not happen where it matters.
            _ => {
                let about = |arg: &Arg| match arg {
                    Arg::Place(path) => path.starts_with(self.root),
                    Arg::Bytes(bytes) => {
                        String::from_utf8_lossy(bytes).contains(&*self.root.to_string_lossy())
                    }
                    Arg::Word(_) => false,
                };
                assert!(!call.args.iter().any(about), "what does this do to the disk? {call:?}");
            }
        }
    }

    fn op(&mut self, node: Node, change: Change, call: &Call) {
        self.moments.extend([call.from, call.until, call.until + 1]);
        let (from, until) = (call.from, call.until);
        self.ops.push(Op { node, change, from, until, durable: usize::MAX, given_up: false });
    }

    fn node_of(&self, arg: &Arg) -> Option<Node> {
        let Arg::Place(path) = arg else { return None };
        let node = self.live.get(path).copied();
        assert!(node.is_some() || !path.starts_with(self.root) || path.is_dir(), "{} is new", path.display());
        node
    }

    fn new_node(&mut self, path: &Path, call: &Call) -> Node {
        let node = self.nodes;
        self.nodes += 1;
        let (folder, name) = self.place(path);
        self.live.insert(path.to_owned(), node);
        self.op(folder, Change::Name { name, to: Some(node) }, call);
        node
    }

    fn place(&self, path: &Path) -> (Node, OsString) {
        let folder = path.parent().and_then(|folder| self.live.get(folder));
        let folder = folder.unwrap_or_else(|| panic!("{} is in no folder", path.display()));
        (*folder, path.file_name().unwrap().to_owned())
    }

    fn open(&mut self, call: &Call) {
        let path = self.path_of(&call.args);
        if !path.starts_with(self.root) || path == self.root {
            return;
        }
        let flags = call.args.iter().find_map(|arg| match arg {
            Arg::Word(word) if word.starts_with("O_") => Some(&**word),
            _ => None,
        });
        let flags: Vec<&str> = flags.unwrap_or_default().split('|').collect();
        assert!(
            !flags.contains(&"O_SYNC") && !flags.contains(&"O_DIRECT") && call.name != "creat",
            "{call:?}"
        );
        match self.live.get(&path) {
            None if flags.contains(&"O_CREAT") => drop(self.new_node(&path, call)),
            Some(node) if flags.contains(&"O_TRUNC") => self.op(*node, Change::Cut { len: 0 }, call),
            // One that was there before all of this began, or is only opened.
            _ => {}
        }
    }

    fn write(&mut self, call: &Call) {
        let [Arg::Place(path), Arg::Bytes(bytes), ..] = &*call.args else { return };
        let written = usize::try_from(call.answer).unwrap();
        let bytes = bytes[..written].to_vec();
        if path.starts_with(self.said) {
            self.moments.extend([call.from, call.from + 1]);
            self.spoken.push(Said { from: call.from, file: path.clone(), bytes });
        } else if let Some(node) = self.node_of(&call.args[0]) {
            let at = match call.args.get(3) {
                Some(at) => number(at),
                // At the end: nobody writes anywhere else without saying where.
                None => self.len(node),
            };
            self.op(node, Change::Write { at, bytes }, call);
        }
    }

    fn len(&self, node: Node) -> usize {
        self.ops.iter().filter(|op| op.node == node).fold(0, |len, op| match &op.change {
            Change::Write { at, bytes } => len.max(at + bytes.len()),
            Change::Cut { len } => *len,
            _ => len,
        })
    }

    /// What was done before this call began is on the disk when it is done.
    fn sync(&mut self, call: &Call) {
        let Some(node) = self.node_of(&call.args[0]) else { return };
        let Arg::Place(path) = &call.args[0] else { return };
        let is_folder = self.folders.contains(&node);
        let is_of_values = path.to_string_lossy().contains("-artifacts");
        let unheard = if is_folder { Deaf::ToFolders } else { Deaf::ToValues };
        let is_log = path.to_string_lossy().ends_with("-wal");
        if is_of_values && self.deaf == unheard || is_log && self.deaf == Deaf::ToLog {
            return;
        }
        self.syncs += 1;
        self.moments.extend([call.from, call.until, call.until + 1]);
        for op in &mut self.ops {
            let concerns =
                op.node == node || matches!(&op.change, Change::Move { out_of, .. } if out_of.0 == node);
            if concerns && op.until < call.from && !op.given_up {
                op.durable = op.durable.min(call.until);
            }
        }
    }

    /// A sync that has failed: what was to be synced is not on the disk, and no later sync brings it there. The system has
    /// told of it once, and takes it for written.
    fn fail(&mut self, call: &Call) {
        let Some(node) = self.node_of(&call.args[0]) else { return };
        // What a folder holds stays to be written.
        if self.folders.contains(&node) {
            return;
        }
        for op in &mut self.ops {
            op.given_up |= op.node == node && op.durable == usize::MAX;
        }
    }

    fn rename(&mut self, call: &Call) {
        let mut paths = self.paths_of(&call.args);
        let (Some(to), Some(from)) = (paths.pop(), paths.pop()) else { return };
        if !from.starts_with(self.root) {
            assert!(!to.starts_with(self.root), "{call:?} brings something from elsewhere");
            return;
        }
        let node = self.live.remove(&from).unwrap_or_else(|| panic!("{} is new", from.display()));
        let (out_of, (folder, name)) = (self.place(&from), self.place(&to));
        self.live.insert(to, node);
        self.op(folder, Change::Move { out_of, name, node }, call);
    }

    fn unlink(&mut self, call: &Call) {
        let path = self.path_of(&call.args);
        let Some(node) = self.live.remove(&path) else { return };
        let (folder, name) = self.place(&path);
        // Whoever has it open goes on with it; strace calls it so.
        let mut gone = path.into_os_string();
        gone.push(DELETED);
        self.live.insert(gone.into(), node);
        self.op(folder, Change::Name { name, to: None }, call);
    }

    /// Every path among the arguments: those that stand by themselves, and those below a folder that is given with
    /// them. Where neither is so, it is the root, in which all the work is done.
    fn paths_of(&self, args: &[Arg]) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let mut below = self.root;
        for arg in args {
            match arg {
                Arg::Place(path) => below = path,
                Arg::Bytes(bytes) => {
                    let path = below.join(OsStr::from_bytes(bytes));
                    paths.push(path.components().filter(|part| *part != Component::CurDir).collect());
                }
                Arg::Word(_) => {}
            }
        }
        paths
    }

    fn path_of(&self, args: &[Arg]) -> PathBuf {
        self.paths_of(args).into_iter().next().unwrap_or_default()
    }

    fn done(self) -> Disk {
        let mut lines = Vec::new();
        let mut begun: HashMap<&Path, Vec<u8>> = HashMap::new();
        for said in &self.spoken {
            let open = begun.entry(&said.file).or_default();
            for piece in said.bytes.split_inclusive(|byte| *byte == b'\n') {
                open.extend_from_slice(piece);
                if piece.ends_with(b"\n") {
                    let text = String::from_utf8(std::mem::take(open)).unwrap();
                    lines.push(Line { from: said.from, text });
                }
            }
        }
        Disk {
            ops: self.ops,
            folders: self.folders,
            moments: self.moments.into_iter().collect(),
            lines,
            syncs: self.syncs,
        }
    }
}

fn number(arg: &Arg) -> usize {
    match arg {
        Arg::Word(word) => word.parse().unwrap_or_else(|_| panic!("{word} is no number")),
        other => panic!("{other:?} is no number"),
    }
}
