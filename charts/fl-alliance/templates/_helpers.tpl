{{- define "fla.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "fla.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "fla.labels" -}}
{{ include "fla.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "fla.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- /* Namespaces served, as a JSON list: none twice. */ -}}
{{- define "fla.tenants" -}}
{{ .Values.tenantNamespaces | default (list .Release.Namespace) | uniq | toJson }}
{{- end }}

{{- define "fla.gatewayUrl" -}}
{{ ternary "http" "https" .Values.gateway.plainHttp }}://{{ include "fla.fullname" . }}-gateway.{{ .Release.Namespace }}.svc:8443
{{- end }}

{{- define "fla.tokenKeySecret" -}}
{{ .Values.gateway.tokenKey.existingSecret | default (printf "%s-token-key" (include "fla.fullname" .)) }}
{{- end }}

{{- define "fla.tlsSecret" -}}
{{ .Values.gateway.tls.existingSecret | default (printf "%s-gateway-tls" (include "fla.fullname" .)) }}
{{- end }}

{{- /* Cluster-scoped names carry the namespace, so that two operators can live in one cluster. */ -}}
{{- define "fla.clusterName" -}}
{{ printf "%s-%s" .Release.Namespace (include "fla.fullname" .) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "fla.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "fla.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* What the operator may do in a namespace it serves. */ -}}
{{- define "fla.tenantRules" -}}
# Watch what is asked for. `patch` on the objects themselves is for finalizers alone: an operator never edits a spec.
- apiGroups: [fl-alliance.io]
  resources: [fltasks, flclients]
  verbs: [get, list, watch, patch]
# FLRounds are the operator's own: it writes them by server-side apply (create, patch) and prunes the history (delete).
- apiGroups: [fl-alliance.io]
  resources: [flrounds]
  verbs: [get, list, watch, create, patch, delete]
# Status is where everything is reported.
- apiGroups: [fl-alliance.io]
  resources: [fltasks/status, flclients/status, flrounds/status]
  verbs: [get, patch]
# Clusters that enforce owner references ask for this before a Job or FLRound may block its owner's deletion.
- apiGroups: [fl-alliance.io]
  resources: [fltasks/finalizers, flclients/finalizers]
  verbs: [update]
# A Job per client, round and step. Create-only: never patched or updated.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
# Why a pod does not start, and the result in its termination message.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# get: the signing keys that FLClients and FLTasks name (other types are refused). create, delete: a Job's input document and token.
# Never list or watch: what is not named cannot be found.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, delete]
# Once per transition.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{- define "fla.volume" -}}
{{- $values := index .root.Values.gateway .name }}
- name: {{ .name }}
  persistentVolumeClaim:
    claimName: {{ $values.existingClaim | default (printf "%s-%s" (include "fla.fullname" .root) .name) }}
{{- end }}
