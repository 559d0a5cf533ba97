#!/bin/bash
# test.sh: lints the charts, renders them in every shape that is offered, and checks what is promised about the result.
# Needs helm on the PATH and python3; PyYAML is fetched into .build where the system has none. With a KUBECONFIG of a cluster that has the definitions, SERVER=1 also asks its API server (dry run).
set -euo pipefail
cd "$(dirname "$0")"
OUT=$(mktemp -d)
trap 'rm -rf "$OUT"' EXIT

HASH=0x$(printf '11%.0s' {1..32})
ADDRESS=0x$(printf '22%.0s' {1..20})

for chart in fl-alliance-crds fl-alliance fl-alliance-devnet; do
  helm lint --strict --quiet "$chart"
done

render() { # NAME CHART ARGS...
  local name=$1 chart=$2
  shift 2
  helm template rel "$chart" --namespace ops "$@" >"$OUT/$name.yaml"
}

refused() { # CHART ARGS...: the values must be refused
  local chart=$1
  shift
  if helm template rel "$chart" --namespace ops "$@" >/dev/null 2>"$OUT/refused"; then
    echo "these values should have been refused: $chart $*" >&2
    exit 1
  fi
}

chain=(--set chain.create=true --set chain.name=devnet --set chain.chainId=31337 --set "chain.genesisHash=$HASH"
  --set-json 'chain.confirmations={"depth":2}' --set-string chain.maxFeePerGasGwei=100 --set chain.blockTimeSeconds=1
  --set-json "chain.trustedManagers=[{\"address\":\"$ADDRESS\",\"codeHash\":\"$HASH\",\"taskCodeHash\":\"$HASH\"}]")

render crds fl-alliance-crds
render crds-bare fl-alliance-crds --set keep=false
render default fl-alliance
render tenants fl-alliance --set 'tenantNamespaces={a,b}'
render clusterwide fl-alliance --set clusterWide=true
render plain fl-alliance --set gateway.plainHttp=true --set gateway.store.existingClaim=store --set gateway.store.subPath=site-a \
  --set gateway.staging.existingClaim=store --set gateway.staging.subPath=staging-a
render own-secrets fl-alliance --set gateway.tls.existingSecret=cert --set gateway.tokenKey.existingSecret=key
render chain fl-alliance "${chain[@]}" --set 'chain.rpc.urls={http://a:8545,http://b:8546}'
render chain-secret fl-alliance "${chain[@]}" --set chain.rpc.existingSecret=rpc
render kms fl-alliance --set 'tenantNamespaces={research}' --set-json 'kms.keys=[{"namespace":"research","keyId":"alias/participant","region":"eu-west-1"}]'
render metrics fl-alliance --set metrics.serviceMonitor.enabled=true --set metrics.prometheusRule.enabled=true
render replicas fl-alliance --set controller.replicas=2
render devnet fl-alliance-devnet
render devnet-bare fl-alliance-devnet --set deploy.enabled=false

refused fl-alliance --set clusterWide=true --set 'tenantNamespaces={a}'
refused fl-alliance --set 'tenantNamespaces={A_b}'
refused fl-alliance --set typo=1
refused fl-alliance --set controller.replicas=0
refused fl-alliance --set gateway.store.subPath=../other
refused fl-alliance --set-json 'kms.keys=[{"keyId":"alias/participant"}]'
refused fl-alliance --set-json 'kms.keys=[{"namespace":"research","keyId":"a b"}]'
refused fl-alliance --set-json 'kms.keys=[{"namespace":"research","keyId":"a","endpont":"http://x"}]'
refused fl-alliance --set chain.create=true
refused fl-alliance "${chain[@]}"
refused fl-alliance "${chain[@]}" --set 'chain.rpc.urls={ws://a}'
refused fl-alliance "${chain[@]}" --set chain.rpc.existingSecret=a --set 'chain.rpc.urls={http://a}'
refused fl-alliance-devnet --set chain.blockTime=0
refused fl-alliance-devnet --set 'deploy.creators={0x12}'

if ! python3 -c 'import yaml' 2>/dev/null; then
  export PYTHONPATH=$PWD/../.build/tools/python
  python3 -c 'import yaml' 2>/dev/null || python3 -m pip install --quiet --disable-pip-version-check --target "$PYTHONPATH" pyyaml==6.0.3
fi
python3 check.py "$OUT"

if [ "${SERVER:-0}" = 1 ]; then
  for file in default tenants clusterwide plain own-secrets chain chain-secret devnet; do
    sed -E 's/^( +)namespace: (a|b|ops)$/\1namespace: default/' "$OUT/$file.yaml" >"$OUT/$file.server.yaml"
    kubectl apply --dry-run=server --validate=strict -n default -f "$OUT/$file.server.yaml" >/dev/null
  done
fi
echo "charts: lint, 14 shapes rendered, 14 refused, promises hold"
