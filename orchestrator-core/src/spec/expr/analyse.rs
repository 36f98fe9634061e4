//! What can be said of an expression before it is compiled: what it refers to, and what is certainly wrong with it.

use std::sync::Arc;

use crate::spec::expr::filters::{FILTERS, FUNCTIONS, NUMERIC_FILTERS, STATUS_FUNCTIONS, TESTS};
use crate::spec::expr::path::{Path, Root};
use crate::spec::expr::token::{Kind, Odd, Token, tokens};
use crate::spec::suggest;

/// The most tokens of one expression.
pub const MAX_TOKENS: usize = 512;

/// The deepest nesting of brackets, and the most `not`, `if` and leading `-` of one expression.
pub const MAX_NESTING: usize = 32;

/// Fields of `run`.
const RUN_FIELDS: [&str; 4] = ["id", "workflow", "status", "error"];
const ROOTS: [&str; 9] = ["inputs", "env", "run", "steps", "item", "index", "matrix", "self", "secrets"];
/// Filters whose first argument names an attribute of each element.
const ATTRIBUTE_FIRST: [&str; 3] = ["selectattr", "rejectattr", "groupby"];
/// Filters that give elements of what they are given, unchanged.
const KEEPS_ELEMENTS: [&str; 8] =
    ["selectattr", "rejectattr", "select", "reject", "sort", "unique", "reverse", "list"];
const WORDS: [&str; 12] =
    ["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False"];

/// Something wrong with an expression, at a byte of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::spec) struct Fault {
    /// Where in the source.
    pub(in crate::spec) offset: usize,
    /// As in a diagnostic.
    pub(in crate::spec) code: &'static str,
    /// As in a diagnostic.
    pub(in crate::spec) message: String,
    /// As in a diagnostic.
    pub(in crate::spec) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(offset: usize, code: &'static str, message: impl Into<String>) -> Self {
        Self { offset, code, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// What is known of an expression.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    /// Every path from a root, in the order of the source, with its byte.
    pub(super) paths: Vec<(Path, usize)>,
    /// Paths that stand beside a `*` and must be numbers.
    pub(super) factors: Vec<Path>,
    /// What filters look at in each of the items of a step: its name, the attribute, and the byte where that stands.
    pub(super) attributes: Vec<(Arc<str>, Arc<str>, usize)>,
    /// Whether a status function is called.
    pub(super) status_function: bool,
    /// Whether the whole expression is one path.
    pub(super) is_path: bool,
}

/// Looks through an expression.
pub(super) fn analyse(source: &str) -> Result<Analysis, Vec<Fault>> {
    let tokens = tokens(source).map_err(|odd| vec![odd_fault(&odd)])?;
    let mut walk = Walk { tokens: &tokens, found: Analysis::default(), faults: Vec::new() };
    walk.check_size();
    if walk.faults.is_empty() {
        walk.walk();
    }
    if walk.faults.is_empty() { Ok(walk.found) } else { Err(walk.faults) }
}

fn odd_fault(odd: &Odd) -> Fault {
    match *odd {
        Odd::UnclosedText(at) => Fault::new(at, "template.syntax", "this string literal has no end"),
        Odd::Character(at, c) => {
            Fault::new(at, "template.syntax", format!("unexpected character `{}`", c.escape_debug()))
        }
    }
}

struct Walk<'s, 't> {
    tokens: &'t [Token<'s>],
    found: Analysis,
    faults: Vec<Fault>,
}

impl<'s> Walk<'s, '_> {
    fn at(&self, ix: usize) -> Option<&Token<'s>> {
        self.tokens.get(ix)
    }

    fn sign_at(&self, ix: usize, sign: &str) -> bool {
        self.at(ix).is_some_and(|token| token.is(sign))
    }

    fn before(&self, ix: usize) -> Option<&Token<'s>> {
        ix.checked_sub(1).and_then(|ix| self.at(ix))
    }

    fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Bounds the recursion of the compiler.
    fn check_size(&mut self) {
        let Some(first) = self.tokens.first() else {
            return self.fault(Fault::new(0, "template.syntax", "the expression is empty"));
        };
        if self.tokens.len() > MAX_TOKENS {
            let message = format!("the expression has more than {MAX_TOKENS} words and signs");
            return self.fault(Fault::new(first.offset, "template.too_long", message));
        }
        let (mut depth, mut prefixes) = (0usize, 0usize);
        for (ix, token) in self.tokens.iter().enumerate() {
            let operand_before = self.before(ix).is_some_and(|before| {
                matches!(before.kind, Kind::Number | Kind::Text)
                    || before.is(")")
                    || before.is("]")
                    || before.is("}")
                    || (before.kind == Kind::Word && !WORDS[..7].contains(&before.text))
            });
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                "-" if !operand_before => prefixes += 1,
                "not" | "if" => prefixes += 1,
                _ => {}
            }
            if depth > MAX_NESTING || prefixes > MAX_NESTING {
                let message = format!("the expression is nested deeper than {MAX_NESTING} levels");
                let fault = Fault::new(token.offset, "template.depth", message);
                return self.fault(fault.hint("compute it in a step"));
            }
        }
    }

    fn walk(&mut self) {
        let mut ix = 0;
        while let Some(token) = self.at(ix).copied() {
            ix = match token.kind {
                Kind::Word => self.word(ix, token),
                Kind::Sign => {
                    self.sign(ix, token);
                    ix + 1
                }
                Kind::Number | Kind::Text => ix + 1,
            };
        }
        self.found.is_path = match self.found.paths.as_slice() {
            [(path, _)] => self.tokens.len() == 1 + 2 * path.names.len() && !self.sign_at(1, "["),
            _ => false,
        };
        self.secrets_stand_alone();
    }

    /// What is done with a secret is not known when an expression is evaluated: its value is not there yet.
    fn secrets_stand_alone(&mut self) {
        let found = &self.found;
        let Some((path, offset)) = found.paths.iter().find(|(path, _)| path.root == Root::Secrets) else {
            return;
        };
        let message = match (path.names.len(), found.is_path) {
            (0, _) => "`secrets` alone is not a value",
            (1, true) => return,
            (1, false) => "a secret cannot be part of an expression: its value is filled in at dispatch",
            _ => "a secret is a text and has no fields",
        };
        let fault = Fault::new(*offset, "secret_not_allowed", message);
        self.fault(fault.hint("write `${{ secrets.NAME }}` alone, or in the middle of a text"));
    }

    fn sign(&mut self, ix: usize, token: Token<'_>) {
        let instead = match token.text {
            "&&" => "and",
            "||" => "or",
            "!" => "not",
            "&" | "=" if token.text == "&" || !self.is_keyword_argument(ix) => {
                let hint = if token.text == "&" { "write `and`" } else { "compare with `==`" };
                let message = format!("`{}` is not an operator", token.text);
                return self.fault(Fault::new(token.offset, "template.syntax", message).hint(hint));
            }
            "*" => return self.product(ix, token),
            _ => return,
        };
        let message = format!("`{}` is not an operator", token.text);
        self.fault(
            Fault::new(token.offset, "template.syntax", message).hint(format!("write `{instead}` instead")),
        );
    }

    fn is_keyword_argument(&self, ix: usize) -> bool {
        self.before(ix).is_some_and(|before| before.kind == Kind::Word)
            && ix.checked_sub(2).is_some_and(|ix| self.sign_at(ix, "(") || self.sign_at(ix, ","))
    }

    /// Handles the word at `ix` and returns where to go on.
    fn word(&mut self, ix: usize, token: Token<'_>) -> usize {
        let before = self.before(ix).copied();
        let is_before = |sign: &str| before.is_some_and(|before| before.is(sign));
        let called = self.sign_at(ix + 1, "(");
        if is_before(".") {
            if called {
                let message = format!("`.{}()` does not exist: values have no methods", token.text);
                let fault = Fault::new(token.offset, "undefined_variable", message);
                self.fault(fault.hint(format!("filters are written `value|{}`", token.text)));
            }
            return ix + 1;
        }
        if is_before("|") {
            self.known("filter", token, FILTERS.iter().copied());
            self.attribute(ix);
            return ix + 1;
        }
        let negated_test = before.is_some_and(|before| before.is_word("not"))
            && ix.checked_sub(2).and_then(|ix| self.at(ix)).is_some_and(|before| before.is_word("is"));
        if negated_test || before.is_some_and(|before| before.is_word("is")) {
            if token.text != "not" {
                self.known("test", token, TESTS.iter().copied());
            }
            return ix + 1;
        }
        if WORDS.contains(&token.text) || token.text == "None" {
            return ix + 1;
        }
        if self.sign_at(ix + 1, "=") && self.is_keyword_argument(ix + 1) {
            return ix + 1;
        }
        if called {
            self.found.status_function |= STATUS_FUNCTIONS.contains(&token.text);
            self.known("function", token, STATUS_FUNCTIONS.iter().chain(&FUNCTIONS).copied());
            return ix + 1;
        }
        self.variable(ix, token)
    }

    fn known(&mut self, what: &str, token: Token<'_>, names: impl Iterator<Item = &'static str> + Clone) {
        if !names.clone().any(|name| name == token.text) {
            let mut fault =
                Fault::new(token.offset, "undefined_variable", format!("unknown {what} `{}`", token.text));
            fault.hint = suggest::hint(token.text, names.clone()).or_else(|| {
                // The list of filters is too long to be read.
                let few = names.clone().count() < 10;
                few.then(|| format!("there are {}", names.collect::<Vec<_>>().join(", ")))
            });
            self.fault(fault);
        }
    }

    /// Notes what the filter at `ix` looks at in each item of a step.
    fn attribute(&mut self, ix: usize) {
        let Some(name) = self.at(ix).filter(|_| self.sign_at(ix + 1, "(")) else { return };
        let named =
            self.at(ix + 2).is_some_and(|word| word.is_word("attribute")) && self.sign_at(ix + 3, "=");
        let at = match (named, ATTRIBUTE_FIRST.contains(&name.text)) {
            (true, _) => ix + 4,
            (false, true) => ix + 2,
            (false, false) => return,
        };
        let Some(text) = self.at(at).filter(|text| text.kind == Kind::Text && !text.text.contains('\\'))
        else {
            return;
        };
        if let Some(path) = self.elements_of(ix - 1)
            && let (Root::Steps, [step, field]) = (path.root, &*path.names)
            && &**field == "items"
        {
            let attribute = text.text[1..text.text.len() - 1].into();
            self.found.attributes.push((step.clone(), attribute, text.offset));
        }
    }

    /// The path whose elements come through to the `|` at `bar`, if the filters before it leave them as they are.
    fn elements_of(&self, mut bar: usize) -> Option<Path> {
        loop {
            let last = bar.checked_sub(1)?;
            let name = if self.sign_at(last, ")") { self.opening(last)?.checked_sub(1)? } else { last };
            let filter = name.checked_sub(1).filter(|before| self.sign_at(*before, "|"));
            match filter {
                Some(before) if KEEPS_ELEMENTS.contains(&self.at(name)?.text) => bar = before,
                Some(_) => return None,
                None => {
                    let mut begin = last;
                    while begin >= 2 && self.sign_at(begin - 1, ".") {
                        begin -= 2;
                    }
                    return self.path_between(begin, bar);
                }
            }
        }
    }

    /// Handles a name that is none of the language's own.
    fn variable(&mut self, ix: usize, token: Token<'_>) -> usize {
        let Some(root) = Root::of(token.text) else {
            self.fault(unknown_root(token));
            return ix + 1;
        };
        let (names, end) = self.chain(ix + 1);
        let dynamic = names.is_empty() && self.sign_at(end, "[");
        let fault = |code, message: String| Fault::new(token.offset, code, message);
        match (root, names.first()) {
            (Root::Steps, None) => {
                let message = if dynamic {
                    "a step must be named literally, because it decides what the expression waits for"
                } else {
                    "`steps` alone is not a value"
                };
                self.fault(fault("undefined_variable", message.into()).hint("write `steps.NAME.FIELD`"));
            }
            (Root::Run, Some(name)) if !RUN_FIELDS.contains(&&**name) => {
                let mut fault = fault("undefined_variable", format!("`run` has no field `{name}`"));
                fault.hint = suggest::hint(name, RUN_FIELDS)
                    .or_else(|| Some(format!("it has {}", RUN_FIELDS.join(", "))));
                self.fault(fault);
            }
            _ => self.found.paths.push((Path { root, names: names.into() }, token.offset)),
        }
        end
    }

    /// The names that follow a root as `.name` or `['name']`, and the token after them.
    fn chain(&self, mut ix: usize) -> (Vec<Arc<str>>, usize) {
        let mut names: Vec<Arc<str>> = Vec::new();
        loop {
            let next = self.at(ix + 1);
            if self.sign_at(ix, ".") && next.is_some_and(|next| next.kind == Kind::Word) {
                // A call is left to `word`, which refuses it.
                if self.sign_at(ix + 2, "(") {
                    break;
                }
                names.extend(next.map(|next| Arc::from(next.text)));
                ix += 2;
            } else if self.sign_at(ix, "[") && self.sign_at(ix + 2, "]") {
                let Some(text) = next.filter(|next| next.kind == Kind::Text && !next.text.contains('\\'))
                else {
                    break;
                };
                names.push(text.text[1..text.text.len() - 1].into());
                ix += 3;
            } else {
                break;
            }
        }
        (names, ix)
    }

    /// Both operands of `*` must be numbers for certain, or paths that are looked at when it is evaluated.
    fn product(&mut self, ix: usize, token: Token<'_>) {
        let splat = self.before(ix).is_none_or(|before| before.is("(") || before.is(","));
        let factors = if splat { None } else { self.left_factor(ix).zip(self.right_factor(ix + 1)) };
        match factors {
            Some((left, right)) => self.found.factors.extend(left.into_iter().chain(right)),
            None => {
                let message = "`*` multiplies numbers, and this operand may be something else";
                let fault = Fault::new(token.offset, "type_mismatch", message);
                self.fault(fault.hint("make it a number with `|int` or `|float`"));
            }
        }
    }

    /// The paths in the operand that ends before `end`; `None` if it may be something else than a number.
    fn left_factor(&self, end: usize) -> Option<Vec<Path>> {
        let last = self.before(end)?;
        match last.kind {
            Kind::Number => Some(Vec::new()),
            Kind::Word => {
                if self.before(end - 1).is_some_and(|before| before.is("|")) {
                    return NUMERIC_FILTERS.contains(&last.text).then(Vec::new);
                }
                let mut begin = end - 1;
                while begin >= 2 && self.sign_at(begin - 1, ".") {
                    begin -= 2;
                }
                self.path_between(begin, end).map(|path| vec![path])
            }
            Kind::Sign if last.text == ")" => {
                let begin = self.opening(end - 1)?;
                match self.before(begin) {
                    Some(name) if name.kind == Kind::Word && !WORDS.contains(&name.text) => (NUMERIC_FILTERS
                        .contains(&name.text)
                        && self.before(begin - 1).is_some_and(|before| before.is("|")))
                    .then(Vec::new),
                    _ => self.arithmetic(begin + 1, end - 1),
                }
            }
            _ => None,
        }
    }

    /// As [`Self::left_factor`], for the operand that begins at `begin`.
    fn right_factor(&self, mut begin: usize) -> Option<Vec<Path>> {
        while self.sign_at(begin, "-") {
            begin += 1;
        }
        let first = self.at(begin)?;
        let (paths, mut end) = match first.kind {
            Kind::Number => (Some(Vec::new()), begin + 1),
            Kind::Word => {
                let (names, end) = self.chain(begin + 1);
                let path = Root::of(first.text).map(|root| vec![Path { root, names: names.into() }]);
                (path.filter(|_| !self.sign_at(end, "[") && !self.sign_at(end, "(")), end)
            }
            Kind::Sign if first.text == "(" => {
                let end = self.closing(begin)?;
                (self.arithmetic(begin + 1, end), end + 1)
            }
            _ => (None, begin + 1),
        };
        let mut filtered = None;
        while self.sign_at(end, "|") {
            filtered = Some(self.at(end + 1)?.text);
            end += 2;
            if self.sign_at(end, "(") {
                end = self.closing(end)? + 1;
            }
        }
        match filtered {
            Some(name) => NUMERIC_FILTERS.contains(&name).then(Vec::new),
            None => paths,
        }
    }

    /// The paths between two tokens, if there is nothing else than arithmetic on numbers and paths.
    fn arithmetic(&self, begin: usize, end: usize) -> Option<Vec<Path>> {
        let mut paths = Vec::new();
        let mut ix = begin;
        while ix < end {
            let token = self.at(ix)?;
            match token.kind {
                Kind::Number => ix += 1,
                Kind::Sign if ["+", "-", "*", "/", "//", "%", "**", "(", ")"].contains(&token.text) => {
                    ix += 1;
                }
                Kind::Sign if token.text == "|" => {
                    NUMERIC_FILTERS.contains(&self.at(ix + 1)?.text).then_some(())?;
                    ix += 2;
                }
                Kind::Word => {
                    let (names, next) = self.chain(ix + 1);
                    paths.push(Path { root: Root::of(token.text)?, names: names.into() });
                    ix = next;
                }
                _ => return None,
            }
        }
        Some(paths)
    }

    fn path_between(&self, begin: usize, end: usize) -> Option<Path> {
        let root = Root::of(self.at(begin)?.text)?;
        let (names, stop) = self.chain(begin + 1);
        (stop == end).then(|| Path { root, names: names.into() })
    }

    fn opening(&self, close: usize) -> Option<usize> {
        let mut depth = 0usize;
        (0..=close).rev().find(|ix| {
            depth += usize::from(self.sign_at(*ix, ")"));
            depth -= usize::from(self.sign_at(*ix, "("));
            depth == 0
        })
    }

    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        (open..self.tokens.len()).find(|ix| {
            depth += usize::from(self.sign_at(*ix, "("));
            depth -= usize::from(self.sign_at(*ix, ")"));
            depth == 0
        })
    }
}

fn unknown_root(token: Token<'_>) -> Fault {
    let name = token.text;
    let fault = Fault::new(token.offset, "undefined_variable", format!("unknown variable `{name}`"));
    match name {
        "yes" | "on" => fault.hint("write `true`"),
        "no" | "off" => fault.hint("write `false`"),
        "null" | "nil" => fault.hint("write `none`"),
        "needs" | "jobs" => fault.hint("outputs of steps are written `steps.NAME.FIELD`"),
        _ => {
            let calls = STATUS_FUNCTIONS.iter().chain(&FUNCTIONS).copied();
            match suggest::nearest(name, ROOTS.into_iter().chain(calls)) {
                Some(near) if ROOTS.contains(&near) => fault.hint(format!("did you mean \"{near}\"?")),
                Some(near) => fault.hint(format!("did you mean \"{near}()\"?")),
                None => fault.hint(format!("there are {}; a text is written in quotes", ROOTS.join(", "))),
            }
        }
    }
}
