//! The machine, held to its promises: laws under random commands, worked cases, and the printed table.

mod act;
mod answer;
mod away;
mod cases;
mod children;
mod doors;
mod endings;
mod flow;
mod items;
mod laws;
mod ledger;
mod line;
mod offers;
mod page;
mod qa;
mod rate;
mod scene;
mod signals;
mod stages;
mod view;
mod world;
