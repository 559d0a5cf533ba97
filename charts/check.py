#!/usr/bin/env python3
"""check.py FOLDER: what the charts promise, asserted on what they render (test.sh writes the files)."""

import json
import re
import sys
from pathlib import Path

import yaml

FOLDER = Path(sys.argv[1])
SECRET_VERBS = {"get", "create", "delete"}
FAILURES = []


def check(holds, message):
    if not holds:
        FAILURES.append(message)


def load(name):
    return [doc for doc in yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text()) if doc]


def of_kind(docs, *kinds):
    return [doc for doc in docs if doc["kind"] in kinds]


def name(doc):
    return f'{doc["kind"]} {doc["metadata"].get("namespace", "-")}/{doc["metadata"]["name"]}'


def pod_spec(doc):
    return doc["spec"]["template"]["spec"]


def check_restricted(shape, doc):
    """Pod Security, profile restricted (and a read-only root besides)."""
    spec, who = pod_spec(doc), f"{shape}: {name(doc)}"
    context = spec.get("securityContext", {})
    check(context.get("runAsNonRoot") is True and context.get("runAsUser", 0) > 0, f"{who} may run as root")
    check(context.get("seccompProfile", {}).get("type") == "RuntimeDefault", f"{who} has no seccomp profile")
    for flag in ("hostNetwork", "hostPID", "hostIPC"):
        check(not spec.get(flag), f"{who} uses {flag}")
    for volume in spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        allowed = {"secret", "configMap", "emptyDir", "persistentVolumeClaim", "projected", "csi", "downwardAPI"}
        check(kinds <= allowed, f"{who}: volume {volume['name']} is a {kinds}")
    for container in spec["containers"] + spec.get("initContainers", []):
        where, security = f"{who}/{container['name']}", container.get("securityContext", {})
        check(security.get("allowPrivilegeEscalation") is False, f"{where} may escalate")
        check(security.get("readOnlyRootFilesystem") is True, f"{where} has a writable root")
        check(security.get("capabilities", {}) == {"drop": ["ALL"]}, f"{where} keeps capabilities")
        check(not security.get("privileged"), f"{where} is privileged")
        check("limits" in container.get("resources", {}), f"{where} has no memory limit")
        check(not any("hostPort" in port for port in container.get("ports", [])), f"{where} has a host port")


def check_rules(shape, docs):
    """No Secret is ever listed, nothing is a wildcard, and what is written is what design allows."""
    for role in of_kind(docs, "Role", "ClusterRole"):
        for rule in role["rules"]:
            who = f"{shape}: {name(role)} {rule['resources']}"
            for part in ("apiGroups", "resources", "verbs"):
                check("*" not in rule[part], f"{who}: a wildcard")
            if "secrets" in rule["resources"]:
                check(set(rule["verbs"]) <= SECRET_VERBS, f"{who}: {rule['verbs']}")
                check(rule["resources"] == ["secrets"], f"{who}: Secrets share a rule")
            check("escalate" not in rule["verbs"] and "impersonate" not in rule["verbs"], f"{who}: escalates")
            if "jobs" in rule["resources"]:
                check(not {"patch", "update"} & set(rule["verbs"]), f"{who}: Jobs are create-only")
            check(not {"pods/exec", "pods/log", "nodes"} & set(rule["resources"]), f"{who}: too much")


def check_reasons():
    """Every rule stands under a comment that says what it is for."""
    templates = Path(__file__).parent.glob("*/templates/*")
    for path in templates:
        lines, in_comment = path.read_text().splitlines(), False
        for number, line in enumerate(lines):
            if line.startswith("- apiGroups:"):
                above = lines[number - 1].strip()
                same = path.name == "deploy.yaml" and above.startswith("verbs:")  # the second of one pair
                check(above.startswith("#") or same, f"{path.name}:{number + 1}: a rule without a reason")


def check_shapes():
    default, tenants, wide = load("default"), load("tenants"), load("clusterwide")
    binds = lambda docs, kind: sorted(name(d) for d in of_kind(docs, kind))
    check("Role ops/ops-rel-fl-alliance-tenant" in binds(default, "Role"), "default: its own namespace is not served")
    served = [d["metadata"]["namespace"] for d in of_kind(tenants, "Role") if d["metadata"]["name"].endswith("-tenant")]
    check(sorted(served) == ["a", "b"], f"tenants: Roles in {served}")
    check(not any("tenants" in n for n in binds(tenants, "ClusterRoleBinding")), "tenants: bound cluster-wide")
    check(any("tenants" in n for n in binds(wide, "ClusterRoleBinding")), "clusterwide: not bound")
    policies = of_kind(tenants, "NetworkPolicy")
    check(sorted(p["metadata"]["namespace"] for p in policies) == ["a", "b"], "tenants: policies")
    for policy in policies:
        spec = policy["spec"]
        check(spec["policyTypes"] == ["Ingress", "Egress"] and not spec["ingress"], "a trainer can be called")
        check([sorted(p["port"] for p in rule["ports"]) for rule in spec["egress"]] == [[53, 53], [8443]], "egress")
        check(all(rule.get("to") for rule in spec["egress"]), "egress to anywhere")

    for shape, docs in (("default", default), ("plain", load("plain"))):
        gateway = next(d for d in of_kind(docs, "Deployment") if d["metadata"]["name"].endswith("-gateway"))
        controller = next(d for d in of_kind(docs, "Deployment") if d["metadata"]["name"].endswith("-controller"))
        check(pod_spec(gateway)["automountServiceAccountToken"] is False, f"{shape}: the gateway has an API token")
        for doc in (gateway, controller):
            check(doc["spec"]["replicas"] == 1 and doc["spec"]["strategy"]["type"] == "Recreate", f"{shape}: two at once")
            container = pod_spec(doc)["containers"][0]
            check("livenessProbe" in container and "readinessProbe" in container, f"{shape}: no probes")
        keys = [v["secret"] for v in pod_spec(controller)["volumes"]]
        shown = {item["key"] for secret in keys for item in secret.get("items", [{"key": "everything"}])}
        check(shown <= {"current", "ca.crt"}, f"{shape}: the controller sees {shown}")
        plain = "--plain-http" in pod_spec(gateway)["containers"][0]["args"]
        check(plain == (shape == "plain"), f"{shape}: plain HTTP is {plain}")
    check(not of_kind(load("plain"), "PersistentVolumeClaim"), "plain: a claim beside the existing one")
    own = [d["metadata"]["name"] for d in of_kind(load("own-secrets"), "Secret")]
    check(not own, f"own-secrets: {own} was made all the same")
    check(len(of_kind(load("metrics"), "ServiceMonitor")) == 2, "metrics: ServiceMonitors")

    arguments = lambda docs: next(
        pod_spec(d)["containers"][0]["args"] for d in of_kind(docs, "Deployment") if name(d).endswith("-controller")
    )
    check(not any("kms" in argument for argument in arguments(default)), "default: KMS keys are granted")
    granted = next((a.removeprefix("--kms-keys=") for a in arguments(load("kms")) if a.startswith("--kms-keys=")), "[]")
    wanted = [{"namespace": "research", "keyId": "alias/participant", "region": "eu-west-1"}]
    check(json.loads(granted) == wanted, f"kms: {granted}")

    key = next(d for d in of_kind(default, "Secret") if d["type"] == "fl-alliance.io/token-key")
    check(re.fullmatch(r"[A-Za-z0-9+/]{43}=", key["data"]["current"]), "the token key is not 32 bytes")
    again = next(d for d in of_kind(tenants, "Secret") if d["type"] == "fl-alliance.io/token-key")
    check(key["data"] != again["data"], "the token key is not random")

    chain = next(iter(of_kind(load("chain"), "FLChain")))
    check(chain["spec"]["confirmations"] == {"depth": 2}, "chain: confirmations")
    check("rpc" not in str({k: v for k, v in chain["spec"].items() if k != "rpc"}), "chain: a URL in the spec")
    rpc = [d for d in of_kind(load("chain"), "Secret") if d["type"] == "Opaque"]
    check(rpc[0]["stringData"]["urls"] == "http://a:8545\nhttp://b:8546", "chain: the URLs")
    check(not [d for d in of_kind(load("chain-secret"), "Secret") if d["type"] == "Opaque"], "chain-secret: a Secret")


def check_alerts():
    """Alerts ask for metrics and reasons that exist, and docs/faults.md explains each of them."""
    root = Path(__file__).resolve().parent.parent
    source = "".join(p.read_text() for folder in ("operator/src", "crds/src/conditions") for p in (root / folder).rglob("*.rs"))
    faults = (root / "docs/faults.md").read_text()
    rules = [rule for doc in of_kind(load("metrics"), "PrometheusRule") for group in doc["spec"]["groups"] for rule in group["rules"]]
    check(len(rules) >= 10, "metrics: no alerts")
    for rule in rules:
        check(f"`{rule['alert']}`" in faults, f"docs/faults.md does not explain {rule['alert']}")
        for quoted in re.findall(r'(?:reason|type)=~?"([^"]+)"', rule["expr"]):
            for one in quoted.split("|"):
                check(f'= "{one}"' in source, f"{rule['alert']}: there is no reason or type {one}")
    for metric in set(re.findall(r"fl_alliance_\w+", faults + "".join(rule["expr"] for rule in rules))):
        check(f'"{metric}"' in source, f"there is no metric {metric}")
    alerts = {rule["alert"] for rule in rules}
    for alert in set(re.findall(r"`(FLAlliance\w+)`", faults)):
        check(alert in alerts, f"docs/faults.md names an alert {alert} that does not exist")
    table = "".join(line for line in faults.splitlines() if line.startswith("|"))
    for reason in set(re.findall(r"`([A-Z][a-z]\w+)`", table)) - alerts:
        check(f'= "{reason}"' in source, f"docs/faults.md names a reason {reason} that does not exist")


def check_replicas():
    controller = next(d for d in of_kind(load("replicas"), "Deployment") if d["metadata"]["name"].endswith("-controller"))
    check(controller["spec"]["replicas"] == 2 and controller["spec"]["strategy"]["type"] == "RollingUpdate", "replicas")
    check("podAntiAffinity" in pod_spec(controller)["affinity"], "replicas: both on one node")


def check_definitions():
    for shape, kept in (("crds", True), ("crds-bare", False)):
        docs = load(shape)
        kinds = sorted(d["spec"]["names"]["kind"] for d in docs)
        check(kinds == ["FLChain", "FLClient", "FLRound", "FLTask"], f"{shape}: {kinds}")
        for doc in docs:
            policy = (doc["metadata"].get("annotations") or {}).get("helm.sh/resource-policy")
            check((policy == "keep") == kept, f"{shape}: {name(doc)} keep is {policy}")


def main():
    for path in sorted(FOLDER.glob("*.yaml")):
        docs = load(path.stem)
        check_rules(path.stem, docs)
        for doc in of_kind(docs, "Deployment", "Job"):
            check_restricted(path.stem, doc)
    check_reasons()
    check_shapes()
    check_definitions()
    check_replicas()
    check_alerts()
    for failure in FAILURES:
        print(f"charts: {failure}", file=sys.stderr)
    return 1 if FAILURES else 0


sys.exit(main())
