//! The programs of `docs/extending.md`, as documentation tests.
#![cfg_attr(doctest, doc = include_str!("../docs/extending.md"))]
