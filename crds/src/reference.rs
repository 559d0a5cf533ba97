//! The reference page of each resource, written from its schema: every field with its description, and the columns.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// Kubernetes' own types, described in Kubernetes' own reference.
const FOREIGN: &[&str] = &["affinity", "tolerations", "resources", "imagePullSecrets", "conditions"];

/// The page of one kind, in Markdown.
pub(crate) fn page(crd: &CustomResourceDefinition, note: &str) -> String {
    let names = &crd.spec.names;
    let mut out = format!("<!-- {note} -->\n# {}\n\n", names.kind);
    let Some(version) = crd.spec.versions.first() else {
        return out;
    };
    let schema = version.schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref());
    let schema = schema.and_then(|s| serde_json::to_value(s).ok()).unwrap_or_default();
    out.push_str(&format!("{}\n\n", text(&schema)));
    out.push_str(&format!(
        "`{}/{}`, {}, short name `{}`, category `fl-alliance`.\n\n",
        crd.spec.group,
        version.name,
        if crd.spec.scope == "Cluster" {
            "cluster-scoped"
        } else {
            "namespaced"
        },
        names.short_names.iter().flatten().next().map_or("", String::as_str),
    ));
    out.push_str("## Columns\n\n| Column | From | |\n| --- | --- | --- |\n");
    for column in version.additional_printer_columns.iter().flatten() {
        let wide = if column.priority.unwrap_or(0) > 0 {
            "with `-o wide`"
        } else {
            ""
        };
        out.push_str(&format!("| {} | `{}` | {wide} |\n", column.name, column.json_path));
    }
    rules(&mut out, &schema);
    for part in ["spec", "status"] {
        let node = &schema["properties"][part];
        if !node.is_object() {
            continue;
        }
        out.push_str(&format!(
            "\n## {part}\n\n{}\n\n| Field | Type | |\n| --- | --- | --- |\n",
            text(node)
        ));
        fields(&mut out, node, "");
    }
    out.push_str("\nConditions and their reasons: [conditions.md](conditions.md).\n");
    out
}

/// The sentences with which the API server refuses an object.
fn rules(out: &mut String, schema: &Value) {
    let mut messages = Vec::new();
    collect(schema, &mut messages);
    if messages.is_empty() {
        return;
    }
    out.push_str("\n## Checked by the API server\n\n");
    for message in messages {
        out.push_str(&format!("* {message}\n"));
    }
}

fn collect(node: &Value, messages: &mut Vec<String>) {
    for rule in node["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let message = rule["message"].as_str().unwrap_or_default().to_owned();
        if !message.is_empty() && !messages.contains(&message) {
            messages.push(message);
        }
    }
    for child in node["properties"].as_object().into_iter().flat_map(|p| p.values()) {
        collect(child, messages);
    }
    for child in [&node["items"], &node["additionalProperties"]] {
        if child.is_object() {
            collect(child, messages);
        }
    }
}

fn fields(out: &mut String, node: &Value, prefix: &str) {
    let required: Vec<&str> = node["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let must = if required.contains(&name.as_str()) {
            ", required"
        } else {
            ""
        };
        out.push_str(&format!("| `{path}` | {}{must} | {} |\n", kind(child), text(child)));
        if FOREIGN.contains(&name.as_str()) {
            continue;
        }
        match child["type"].as_str() {
            Some("object") => fields(out, child, &format!("{path}.")),
            Some("array") => fields(out, &child["items"], &format!("{path}[].")),
            _ => {}
        }
    }
}

fn kind(node: &Value) -> String {
    if let Some(values) = node["enum"].as_array() {
        return values
            .iter()
            .map(|v| format!("`{}`", v.to_string().trim_matches('"')))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if node["x-kubernetes-int-or-string"] == true {
        return "quantity".to_owned();
    }
    match (node["type"].as_str(), node["format"].as_str()) {
        (Some("array"), _) => format!("list of {}", kind(&node["items"])),
        (Some("string"), Some("date-time")) => "time".to_owned(),
        (Some("integer"), _) => range(node),
        (Some(other), _) => other.to_owned(),
        (None, _) => String::new(),
    }
}

fn range(node: &Value) -> String {
    match (node["minimum"].as_f64(), node["maximum"].as_f64()) {
        (Some(min), Some(max)) if max < 9.0e15 => format!("integer, {min} to {max}"),
        (Some(min), _) => format!("integer, from {min}"),
        _ => "integer".to_owned(),
    }
}

/// A description on one line, safe inside a table.
fn text(node: &Value) -> String {
    let description = node["description"].as_str().unwrap_or_default();
    description
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}
