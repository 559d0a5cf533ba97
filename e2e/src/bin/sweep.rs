//! Takes everything that demo and scenarios made out of the cluster that `KUBECONFIG` names.
#![forbid(unsafe_code)]

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = e2e::cluster::client().await?;
    e2e::sweep::sweep_all(&client).await
}
