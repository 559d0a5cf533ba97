{{- define "devnet.fullname" -}}
{{- if contains "devnet" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-devnet" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "devnet.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "devnet.labels" -}}
{{ include "devnet.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "devnet.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "devnet.rpcUrl" -}}
http://{{ include "devnet.fullname" . }}.{{ .Release.Namespace }}.svc:8545
{{- end }}

{{- define "devnet.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "devnet.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* A container of the devnet image that runs the operator's chain tools with the deployer's key. */ -}}
{{- define "devnet.tool" -}}
image: {{ include "devnet.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [/usr/local/bin/fl-alliance-operator]
env:
- {name: FLA_RPC_URL, value: {{ include "devnet.rpcUrl" . | quote }}}
- {name: FLA_KEY_FILE, value: /var/run/deployer/privateKey}
resources:
  requests: {cpu: 10m, memory: 32Mi}
  limits: {memory: 256Mi}
securityContext:
  {{- include "devnet.containerSecurity" . | nindent 2 }}
volumeMounts:
- {name: deployer, mountPath: /var/run/deployer, readOnly: true}
{{- end }}
