//! The programs of `docs/extending.md` and `docs/writing-a-backend.md`, as documentation tests.
#![cfg_attr(doctest, doc = include_str!("../docs/extending.md"))]
#![cfg_attr(doctest, doc = include_str!("../docs/writing-a-backend.md"))]
