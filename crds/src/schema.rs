//! Schemas of values whose Rust type comes from elsewhere. Each is at least as strict as the type's parser, so that
//! what the API server lets in can be read back.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A chain account or contract: 0x and 40 hex digits of any case.
pub fn address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^0x[0-9a-fA-F]{40}$", "maxLength": 42 })
}

/// A list of distinct accounts, at most 100 (the most a task can hold).
pub fn addresses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 100, "x-kubernetes-list-type": "set",
        "items": { "type": "string", "pattern": "^0x[0-9a-fA-F]{40}$", "maxLength": 42 }
    })
}

/// 32 bytes as the chain writes them: 0x and 64 hex digits (block and transaction hashes, code hashes, salts).
pub fn bytes32(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^0x[0-9a-fA-F]{64}$", "maxLength": 66 })
}

/// A SHA-256 or a digest of ours: 64 lower-case hex digits.
pub fn hash(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[0-9a-f]{64}$", "maxLength": 64 })
}

/// An amount of tokens in the smallest unit, as decimal digits (at most 128 bit on the contract).
pub fn amount(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[0-9]{1,39}$", "maxLength": 39 })
}

/// A signed 256-bit number as decimal digits.
pub fn signed_amount(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^-?[0-9]{1,77}$", "maxLength": 78 })
}

/// A number in (0, 1] with at most 18 decimals.
pub fn fraction(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^(0(\\.[0-9]{1,18})?|1(\\.0{1,18})?)$", "maxLength": 20 })
}

/// A fee in gwei: decimal digits, optionally with up to 9 decimals.
pub fn gwei(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[0-9]{1,12}(\\.[0-9]{1,9})?$", "maxLength": 22 })
}

/// A chain id; kept below 2^53, which every JSON reader keeps exactly.
pub fn chain_id(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 9_007_199_254_740_991_i64 })
}

/// A whole number, 0 to 2^53.
pub fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": 9_007_199_254_740_991_i64 })
}

/// A whole number, 0 to 2^31.
pub fn small_count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": 2_147_483_647 })
}

/// Seconds of a window: 1 s to 30 days.
pub fn window(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 2_592_000 })
}

/// Seconds of the stall time-out: at most 90 days.
pub fn stall_timeout(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 2, "maximum": 7_776_000 })
}

/// How many participants a round may have.
pub fn participants(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 2, "maximum": 100 })
}

/// Rounds of a task.
pub fn rounds(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": 10_000 })
}

pub fn role(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": ["None", "Voter", "Proposer"] })
}

pub fn phase(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": ["Join", "Draw", "Propose", "Commit", "Reveal", "Finish", "Settle", "Ended"]
    })
}

pub fn outcome(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "enum": ["None", "Accepted", "Tie", "Rejected", "Inconclusive", "Empty", "Void"]
    })
}

/// +1 or -1.
pub fn score(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "enum": [1, -1] })
}

/// The name of an object in the same namespace, or of a cluster-scoped one.
pub fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "minLength": 1, "maxLength": 253,
        "pattern": "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
    })
}

/// Conditions, a map list keyed by type: each writer owns its own types, and there are never more than eight.
pub fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let condition = generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>();
    json_schema!({
        "type": "array", "maxItems": 8,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
        "items": condition
    })
}
