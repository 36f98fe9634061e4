//! The closed world in which expressions are evaluated, and the work that one evaluation may do.
//!
//! minijinja's fuel counts instructions, and one instruction may be a filter that makes 100 MB. So every filter goes
//! through a gate that charges what it reads, and those that can make more than they read are measured beforehand.

use std::cell::Cell;
use std::sync::LazyLock;

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, Value, filters};

/// The bytes and list elements (16 bytes each) that one evaluation may read and make: 32 MiB.
pub const MAX_WORK: usize = 32 << 20;

/// The most elements of a `range`.
pub const MAX_RANGE: usize = 10_000;

/// What an element of a list counts beside its own bytes; a `Value` of minijinja has 24.
const ELEMENT: usize = 16;

/// What a piece of a text that is taken apart counts beside its bytes.
const PART: usize = 64;

/// The most columns of `indent`.
const MAX_INDENT: usize = 200;

/// Instructions of one evaluation. An expression has no loops, so its length bounds them already.
const FUEL: u64 = 20_000;

/// Functions that judge what came before.
pub(super) const STATUS_FUNCTIONS: [&str; 4] = ["success", "failure", "always", "cancelled"];

/// The other functions.
pub(super) const FUNCTIONS: [&str; 2] = ["range", "dict"];

/// Filters that give a number or fail.
pub(super) const NUMERIC_FILTERS: [&str; 6] = ["int", "float", "length", "count", "abs", "round"];

/// The detail of the error that tells that [`MAX_WORK`] is used up.
pub(super) const EXHAUSTED: &str = "the expression reads or makes too much";

/// Tests, those of minijinja without the ones that are about templates.
pub(super) const TESTS: [&str; 34] = [
    "undefined",
    "defined",
    "none",
    "boolean",
    "odd",
    "even",
    "divisibleby",
    "number",
    "integer",
    "int",
    "float",
    "string",
    "sequence",
    "iterable",
    "mapping",
    "startingwith",
    "endingwith",
    "lower",
    "upper",
    "sameas",
    "eq",
    "equalto",
    "ne",
    "lt",
    "lessthan",
    "le",
    "lessthanorequal",
    "gt",
    "greaterthan",
    "ge",
    "greaterthanorequal",
    "in",
    "true",
    "false",
];

macro_rules! gated {
    ($($name:literal => $filter:path),+ $(,)?) => {
        /// Filters. Of minijinja's own those are left out that are about HTML or are made to be shown to people
        /// (`safe`, `escape`, `pprint`), and those whose output no argument bounds (`format`, `slice`, `batch`).
        pub(super) const FILTERS: [&str; [$($name),+].len()] = [$($name),+];

        fn add_filters(env: &mut Environment<'static>) {
            $(
                let inner = Value::from_function($filter);
                env.add_filter($name, move |state: &mut State<'_, '_>, args: Rest<ValueOrKwargs>| {
                    let args = args.into_values();
                    admit($name, &args)?;
                    inner.call(state, &args)
                });
            )+
        }
    };
}

gated! {
    "lower" => filters::lower,
    "upper" => filters::upper,
    "title" => filters::title,
    "capitalize" => filters::capitalize,
    "replace" => filters::replace,
    "length" => filters::length,
    "count" => filters::length,
    "dictsort" => filters::dictsort,
    "items" => filters::items,
    "reverse" => filters::reverse,
    "trim" => filters::trim,
    "join" => filters::join,
    "split" => filters::split,
    "lines" => filters::lines,
    "default" => filters::default,
    "d" => filters::default,
    "round" => filters::round,
    "abs" => filters::abs,
    "int" => filters::int,
    "float" => filters::float,
    "attr" => filters::attr,
    "first" => filters::first,
    "last" => filters::last,
    "min" => filters::min,
    "max" => filters::max,
    "sort" => filters::sort,
    "list" => filters::list,
    "string" => filters::string,
    "bool" => filters::bool,
    "sum" => filters::sum,
    "indent" => filters::indent,
    "select" => filters::select,
    "reject" => filters::reject,
    "selectattr" => filters::selectattr,
    "rejectattr" => filters::rejectattr,
    "map" => filters::map,
    "groupby" => filters::groupby,
    "unique" => filters::unique,
    "chain" => filters::chain,
    "zip" => filters::zip,
    "tojson" => json,
}

thread_local! {
    static WORK_LEFT: Cell<usize> = const { Cell::new(0) };
}

/// Gives the evaluation that begins now its work.
pub(super) fn refill() {
    WORK_LEFT.set(MAX_WORK);
}

/// Takes `work` from what the evaluation has left.
pub(super) fn charge(work: usize) -> Result<(), Error> {
    match WORK_LEFT.get().checked_sub(work) {
        Some(left) => {
            WORK_LEFT.set(left);
            Ok(())
        }
        None => Err(Error::new(ErrorKind::OutOfFuel, EXHAUSTED)),
    }
}

/// The environment in which every expression is compiled and evaluated.
pub(super) static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_auto_escape_callback(|_| AutoEscape::None);
    env.set_fuel(Some(FUEL));
    add_filters(&mut env);
    add_tests(&mut env);
    env.add_function("range", range);
    env.add_function("dict", minijinja::functions::dict);
    env
});

/// Charges what a filter reads, and what it will make where that can be more.
fn admit(name: &str, args: &[Value]) -> Result<(), Error> {
    let mut reads = ELEMENT;
    for arg in args {
        reads = reads.saturating_add(shallow_size(arg));
    }
    charge(reads)?;
    match (name, args) {
        ("replace", [text, from, to, ..]) => {
            let (Some(text), Some(from), Some(to)) = (text.as_str(), from.as_str(), to.as_str()) else {
                return Ok(());
            };
            charge(text.matches(from).count().saturating_mul(to.len()))
        }
        ("join", [list, between, ..]) => {
            let joints = list.len().unwrap_or(MAX_WORK / ELEMENT);
            let parts = list.as_str().map_or(0, str::len).saturating_mul(PART);
            charge(parts.saturating_add(joints.saturating_mul(between.as_str().map_or(0, str::len))))
        }
        ("indent", [text, width, ..]) => {
            let width = width.as_usize().unwrap_or(4);
            if width > MAX_INDENT {
                let message = format!("`indent` takes at most {MAX_INDENT} columns");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
            charge(text.as_str().map_or(0, |text| text.matches('\n').count() * width))
        }
        ("split", [text, by, ..]) => match (text.as_str(), by.as_str()) {
            (Some(text), Some(by)) => charge(text.matches(by).count().saturating_mul(PART)),
            (text, _) => charge(text.map_or(0, |text| text.split_whitespace().count()).saturating_mul(PART)),
        },
        ("split" | "lines", [text, ..]) => {
            let text = text.as_str().unwrap_or_default();
            charge(text.split(char::is_whitespace).count().saturating_mul(PART))
        }
        // These compare each with many.
        ("sort" | "unique" | "groupby" | "dictsort", [list, ..]) => {
            let len = list.len().unwrap_or(0);
            charge(len.saturating_mul(PART + ELEMENT * len.max(1).ilog2() as usize))
        }
        ("list" | "map" | "select" | "reject" | "min" | "max" | "sum" | "zip" | "chain", [list, ..]) => {
            // A text is taken apart into its characters.
            charge(list.as_str().map_or(0, str::len).saturating_mul(PART))
        }
        _ => Ok(()),
    }
}

fn shallow_size(value: &Value) -> usize {
    match value.as_str() {
        Some(text) => text.len(),
        None => value.len().unwrap_or(0).saturating_mul(ELEMENT),
    }
}

fn range(lower: i64, upper: Option<i64>, step: Option<i64>) -> Result<Vec<i64>, Error> {
    let (lower, upper) = upper.map_or((0, lower), |upper| (lower, upper));
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Error::new(ErrorKind::InvalidOperation, "the step of a range cannot be 0"));
    }
    let span = if step > 0 { upper.saturating_sub(lower) } else { lower.saturating_sub(upper) };
    let len = u64::try_from(span).unwrap_or(0).div_ceil(step.unsigned_abs());
    match usize::try_from(len) {
        Ok(len) if len <= MAX_RANGE => {
            charge(len * ELEMENT)?;
            Ok((0..len as i64).map(|ix| lower + ix * step).collect())
        }
        _ => Err(Error::new(ErrorKind::OutOfFuel, format!("a range has at most {MAX_RANGE} elements"))),
    }
}

/// Compact JSON. minijinja's own filter escapes `<`, `>`, `&` and `'` for HTML and can indent without bound.
fn json(value: &Value) -> Result<String, Error> {
    let value = super::evaluate::to_json(value)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.message))?;
    Ok(value.to_string())
}

fn add_tests(env: &mut Environment<'static>) {
    use minijinja::tests;
    env.add_test("undefined", tests::is_undefined);
    env.add_test("defined", tests::is_defined);
    env.add_test("none", tests::is_none);
    env.add_test("boolean", tests::is_boolean);
    env.add_test("odd", tests::is_odd);
    env.add_test("even", tests::is_even);
    env.add_test("divisibleby", tests::is_divisibleby);
    env.add_test("number", tests::is_number);
    env.add_test("integer", tests::is_integer);
    env.add_test("int", tests::is_integer);
    env.add_test("float", tests::is_float);
    env.add_test("string", tests::is_string);
    env.add_test("sequence", tests::is_sequence);
    env.add_test("iterable", tests::is_iterable);
    env.add_test("mapping", tests::is_mapping);
    env.add_test("startingwith", tests::is_startingwith);
    env.add_test("endingwith", tests::is_endingwith);
    env.add_test("lower", tests::is_lower);
    env.add_test("upper", tests::is_upper);
    env.add_test("sameas", tests::is_sameas);
    for name in ["eq", "equalto", "=="] {
        env.add_test(name, tests::is_eq);
    }
    for name in ["ne", "!="] {
        env.add_test(name, tests::is_ne);
    }
    for name in ["lt", "lessthan", "<"] {
        env.add_test(name, tests::is_lt);
    }
    for name in ["le", "lessthanorequal", "<="] {
        env.add_test(name, tests::is_le);
    }
    for name in ["gt", "greaterthan", ">"] {
        env.add_test(name, tests::is_gt);
    }
    for name in ["ge", "greaterthanorequal", ">="] {
        env.add_test(name, tests::is_ge);
    }
    env.add_test("in", tests::is_in);
    env.add_test("true", tests::is_true);
    env.add_test("false", tests::is_false);
}
