{{- define "swarmrun.labels" -}}
app.kubernetes.io/name: swarmrun-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "swarmrun.selector" -}}
app.kubernetes.io/name: swarmrun-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- define "swarmrun.image" -}}
{{- $repository := .image.repository -}}
{{- with .root.Values.global.imageRegistry -}}
{{- $repository = printf "%s/%s" . (regexReplaceAll "^[^/]+/" $repository "") -}}
{{- end -}}
{{ $repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end }}
{{- define "swarmrun.redisUrl" -}}
{{- if .Values.redis.embedded -}}
redis://{{ .Release.Name }}-redis.{{ .Release.Namespace }}.svc:6379
{{- else -}}
{{ required "redis.external.url must be set when redis.embedded is false, such as redis://redis.example.com:6379" .Values.redis.external.url }}
{{- end -}}
{{- end }}
{{- define "swarmrun.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
{{- define "swarmrun.rules" -}}
- apiGroups: [swarmrun.dev]
  resources: [swarmruns]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [swarmrun.dev]
  resources: [swarmruns/status, swarmescalations/status]
  verbs: [patch]
# Owner references that block deletion ask for it, where the API server checks them.
- apiGroups: [swarmrun.dev]
  resources: [swarmruns/finalizers]
  verbs: [update]
- apiGroups: [swarmrun.dev]
  resources: [swarmescalations]
  verbs: [list, watch, create, patch]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Read is only what spec.projectFrom names.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create, patch, delete]
# Secrets are written, never read: their values are derived from the install key.
- apiGroups: [""]
  resources: [secrets, services]
  verbs: [create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
