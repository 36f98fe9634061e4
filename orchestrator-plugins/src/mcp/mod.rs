//! `mcp`: calls a tool of a server that speaks the Model Context Protocol.

mod call;
mod connection;
mod http;
mod listener;
mod plugin;
mod schema;
mod server;
mod stdio;
mod tool;
mod trouble;

pub use plugin::Mcp;
pub use server::McpServer;
pub use tool::McpTool;
