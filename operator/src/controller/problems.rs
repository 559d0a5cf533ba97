//! What is wrong with which object, as a metric to alert on: read from the watch caches when it is asked for, so that it
//! shows what `kubectl` shows and forgets an object when it is gone.

use crds::{Condition, conditions::is_problem};
use kube::{Resource, ResourceExt, runtime::reflector::Store};
use prometheus::{
    IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::cluster::Scope;

const LABELS: [&str; 5] = ["kind", "namespace", "name", "type", "reason"];

/// `fl_alliance_problem`: 1 for each condition that is not as it should be, absent otherwise.
pub(super) struct Problems {
    chains: Store<crds::FLChain>,
    scopes: Vec<Scope>,
    described: IntGaugeVec,
}

impl Problems {
    pub(super) fn new(chains: Store<crds::FLChain>, scopes: Vec<Scope>) -> Result<Self, prometheus::Error> {
        Ok(Self {
            chains,
            scopes,
            described: gauge()?,
        })
    }
}

fn gauge() -> Result<IntGaugeVec, prometheus::Error> {
    let help = "1 for each condition of an object that is not as it should be; absent otherwise";
    IntGaugeVec::new(Opts::new("fl_alliance_problem", help), &LABELS)
}

fn add<K: Resource>(problems: &IntGaugeVec, kind: &str, object: &K, conditions: &[Condition]) {
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    for condition in conditions.iter().filter(|c| is_problem(c)) {
        problems
            .with_label_values(&[kind, &namespace, &name, &condition.type_, &condition.reason])
            .set(1);
    }
}

impl Collector for Problems {
    fn desc(&self) -> Vec<&Desc> {
        self.described.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // A vector of its own each time: what is no problem any more must not stay in it.
        let Ok(problems) = gauge() else { return Vec::new() };
        for chain in self.chains.state() {
            let conditions = chain.status.as_ref().map_or(&[][..], |status| &status.conditions);
            add(&problems, "FLChain", chain.as_ref(), conditions);
        }
        for scope in &self.scopes {
            for task in scope.tasks.state() {
                let conditions = task.status.as_ref().map_or(&[][..], |status| &status.conditions);
                add(&problems, "FLTask", task.as_ref(), conditions);
            }
            for client in scope.clients.state() {
                let conditions = client.status.as_ref().map_or(&[][..], |status| &status.conditions);
                add(&problems, "FLClient", client.as_ref(), conditions);
            }
        }
        problems.collect()
    }
}

#[cfg(test)]
mod tests {
    use crds::{FLChain, FLTask};
    use kube::runtime::{reflector, watcher::Event};
    use prometheus::Registry;
    use serde_json::json;

    use super::*;

    fn task(ready: &str, at_risk: bool) -> FLTask {
        let condition = |type_: &str, status: &str, reason: &str| {
            json!({ "type": type_, "status": status, "reason": reason, "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z" })
        };
        let mut conditions = vec![
            condition("Ready", ready, "StoreFull"),
            condition("Reconciling", "True", "Waiting"),
        ];
        if at_risk {
            conditions.push(condition("Stalled", "True", "StoreFull"));
        }
        let mut task: FLTask = serde_json::from_value(json!({
            "apiVersion": "fl-alliance.io/v1alpha1", "kind": "FLTask",
            "metadata": { "name": "t", "namespace": "a" },
            "spec": { "chainRef": { "name": "c" }, "storeRef": { "name": "default" } }
        }))
        .expect("a task");
        task.status = Some(serde_json::from_value(json!({ "conditions": conditions })).expect("a status"));
        task
    }

    fn seen(registry: &Registry) -> Vec<(String, String)> {
        let families = registry.gather();
        let problems = families.iter().filter(|f| f.name() == "fl_alliance_problem");
        let label = |metric: &prometheus::proto::Metric, name: &str| {
            let found = metric.get_label().iter().find(|l| l.name() == name);
            found.map(|l| l.value().to_owned()).unwrap_or_default()
        };
        problems
            .flat_map(|family| family.get_metric())
            .map(|metric| (label(metric, "type"), label(metric, "reason")))
            .collect()
    }

    #[test]
    fn a_problem_is_there_while_its_condition_is_and_gone_with_it_or_with_the_object() {
        let (tasks, mut writer) = reflector::store::<FLTask>();
        let scope = Scope {
            namespace: None,
            tasks,
            clients: reflector::store().0,
            rounds: reflector::store().0,
        };
        let registry = Registry::new();
        let problems = Problems::new(reflector::store::<FLChain>().0, vec![scope]).expect("valid");
        registry.register(Box::new(problems)).expect("the only one");
        assert_eq!(seen(&registry), []);

        writer.apply_watcher_event(&Event::Apply(task("False", true)));
        let both = [("Ready", "StoreFull"), ("Stalled", "StoreFull")].map(|(t, r)| (t.to_owned(), r.to_owned()));
        let mut found = seen(&registry);
        found.sort();
        assert_eq!(found, both);

        writer.apply_watcher_event(&Event::Apply(task("True", false)));
        assert_eq!(seen(&registry), []);

        writer.apply_watcher_event(&Event::Apply(task("False", false)));
        assert_eq!(seen(&registry).len(), 1);
        writer.apply_watcher_event(&Event::Delete(task("False", false)));
        assert_eq!(seen(&registry), []);
    }
}
