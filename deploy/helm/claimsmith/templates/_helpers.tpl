{{- define "claimsmith.name" -}}
{{- if contains "claimsmith" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-claimsmith" .Release.Name | trunc 52 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "claimsmith.selector" -}}
app.kubernetes.io/name: claimsmith
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "claimsmith.labels" -}}
{{ include "claimsmith.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
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
