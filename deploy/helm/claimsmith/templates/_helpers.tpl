{{- define "claimsmith.name" -}}
{{- $chart := include "claimsmith.chart" . }}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $chart .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $chart | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "claimsmith.chart" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "claimsmith.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary (include "claimsmith.name" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- /* The keys that are read only at startup. `claimsmith schema` marks them with x-restart, and a test compares both. */ -}}
{{- define "claimsmith.restartKeys" -}}
audit limits.connection_age limits.connections limits.connections_per_peer limits.keep_alive log serve traces
{{- end }}

{{- define "claimsmith.restartChecksum" -}}
{{- $found := dict }}
{{- range $path := splitList " " (include "claimsmith.restartKeys" .) }}
{{- $value := $.Values.config }}
{{- range $key := splitList "." $path }}
{{- $value = get ($value | default dict) $key }}
{{- end }}
{{- $_ := set $found $path $value }}
{{- end }}
{{- toJson $found | sha256sum }}
{{- end }}

{{- /* Where the environment of the service comes from; the rotation has the same. */ -}}
{{- define "claimsmith.environment" -}}
{{- with concat .Values.env .Values.extraEnv }}
env: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "claimsmith.selector" -}}
app.kubernetes.io/name: {{ include "claimsmith.chart" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "claimsmith.labels" -}}
{{ include "claimsmith.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "claimsmith.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- define "claimsmith.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
# Files of the volume belong to this group, so that the user can read what is 0440.
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "claimsmith.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* The templates, path: text; those of the values take the place of the chart's own. */ -}}
{{- define "claimsmith.templates" -}}
{{- $all := dict }}
{{- range $path, $text := .Files.Glob "files/templates/**" }}
{{- $_ := set $all (trimPrefix "files/templates/" $path) (toString $text) }}
{{- end }}
{{- range $path, $text := .Values.templates }}
{{- $_ := set $all $path $text }}
{{- end }}
{{- toJson $all }}
{{- end }}
