//! The emulator from outside: over TCP, as its users meet it. One file for each chapter, and one
//! for each promise that no chapter owns.

mod accessory;
mod account;
mod answers;
mod auth;
mod blobs;
mod clients;
mod control;
mod durability;
mod edge;
mod engine;
mod fake_kubernetes;
mod guide;
mod house;
mod iam;
mod kubernetes;
mod large;
mod namespace;
mod openapi;
mod permission;
mod program;
mod query_plans;
mod readme;
mod region;
mod registry;
mod repository;
mod retention;
mod seed;
mod sharing;
mod support;
mod sync;
mod tag;
mod terraform;
mod trigger;
mod upgrade;
mod version;
