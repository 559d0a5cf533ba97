//! The command as an administrator types it, on real chains of several kinds.

mod chains;
mod deploying;
mod files;
mod front;
mod tokens;
