//! How long files and functions may be.

use crate::Fault;
use crate::rust::{functions, test_items};
use crate::source::Source;

/// Lines of a file before its tests.
const FILE: usize = 500;

/// Lines of code of a function's body.
const FUNCTION: usize = 70;

pub(crate) fn check(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    let tokens = source.tokens();
    let tests = test_items(&tokens).into_iter().find(|item| item.module.is_some() && !item.elsewhere);
    let lines = match tests {
        Some(tests) => tokens[tests.range.start].first - 1,
        None => source.text.lines().count(),
    };
    if lines > FILE && !source.is_test {
        faults.push(source.at(lines, format!("{lines} lines before its tests; the limit is {FILE}")));
    }
    for function in functions(&tokens) {
        if function.lines > FUNCTION {
            let what = format!("`{}` has {} lines; the limit is {FUNCTION}", function.name, function.lines);
            faults.push(source.at(function.line, what));
        }
    }
    faults
}

#[cfg(test)]
mod planted {
    use super::*;

    #[test]
    fn a_long_file_is_caught_and_its_tests_do_not_count() {
        let long = "// x\n".repeat(FILE + 1);
        assert_eq!(check(&Source::new("a/src/b.rs", &long)).len(), 1);
        let tests = format!("{}#[cfg(test)]\nmod tests {{\n{long}}}\n", "// x\n".repeat(FILE));
        assert_eq!(check(&Source::new("a/src/b.rs", &tests)), [""; 0]);
        assert_eq!(check(&Source::new("a/tests/b.rs", &long)), [""; 0]);
    }

    #[test]
    fn a_long_function_is_caught_wherever_it_is() {
        let of = |lines: usize| format!("impl A {{ fn f() {{\n{} }} }}", "g();\n\n// x\n".repeat(lines));
        for path in ["a/src/b.rs", "a/tests/b.rs"] {
            assert_eq!(check(&Source::new(path, &of(FUNCTION + 1))).len(), 1);
            assert_eq!(check(&Source::new(path, &of(FUNCTION))), [""; 0]);
        }
    }
}
