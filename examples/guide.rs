//! The programs of `docs/extending.md`, `docs/schedules.md`, `docs/tasks.md`, `docs/writing-a-backend.md` and `docs/plugins/out-of-process.md`, as documentation tests.
#![cfg_attr(doctest, doc = include_str!("../docs/extending.md"))]
#![cfg_attr(doctest, doc = include_str!("../docs/schedules.md"))]
#![cfg_attr(doctest, doc = include_str!("../docs/tasks.md"))]
#![cfg_attr(doctest, doc = include_str!("../docs/writing-a-backend.md"))]
#![cfg_attr(doctest, doc = include_str!("../docs/plugins/out-of-process.md"))]
