//! I15: the database is whole, by the word of the product and by that of another library.

use crate::facts::Facts;
use crate::invariant::{Column, Invariant};

pub(crate) const INVARIANT: Invariant = Invariant {
    name: "I15 integrity",
    column: Column::Lost,
    check,
    plant: |facts| {
        facts.copy.damage.push("page 7 is never used".to_owned());
        Some(())
    },
    also: &[],
};

fn check(facts: &Facts) -> Vec<String> {
    facts.damage.iter().chain(&facts.copy.damage).cloned().collect()
}

#[test]
fn a_damaged_page_is_noticed() {
    crate::invariant::sample::finds_its_plant(&INVARIANT);
}
