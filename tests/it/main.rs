//! The emulator from outside: over TCP, as its users meet it. One file for each chapter, and one
//! for each promise that no chapter owns.

mod auth;
mod clients;
mod control;
mod durability;
mod edge;
mod engine;
mod fake_kubernetes;
mod kubernetes;
mod namespace;
mod program;
mod readme;
mod registry;
mod repository;
mod seed;
mod support;
mod tag;
mod terraform;
mod trigger;
