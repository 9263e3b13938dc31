{{- define "millrace.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "millrace.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "millrace.name" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "millrace.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "millrace.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "millrace.selector" -}}
app.kubernetes.io/name: millrace
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* A setting's variable: linger.ms is MILLRACE_LINGER_MS. */}}
{{- define "millrace.variable" -}}
MILLRACE_{{ . | upper | replace "." "_" }}
{{- end }}

{{- define "millrace.annotations" -}}
{{- if .root.Values.metrics.annotations }}
prometheus.io/scrape: "true"
prometheus.io/port: "9644"
prometheus.io/path: /metrics
{{- end }}
{{- with .extra }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Settings of all processes; `own` are those of the process, which win. */}}
{{- define "millrace.env" -}}
{{- $store := .root.Values.store -}}
{{- $settings := dict "store.url" (required "store.url is needed: s3://bucket/prefix" $store.url) -}}
{{- if $store.region }}{{ $_ := set $settings "store.region" $store.region }}{{ end -}}
{{- if $store.endpoint }}{{ $_ := set $settings "store.endpoint" $store.endpoint }}{{ end -}}
{{- if $store.allowHttp }}{{ $_ := set $settings "store.allow.http" "true" }}{{ end -}}
{{- if eq .root.Values.metadata.log "foundationdb" -}}
{{- $_ := set $settings "metadata.log" "fdb:/etc/foundationdb/fdb.cluster" -}}
{{- else -}}
{{- $_ := set $settings "metadata.log" "bucket" -}}
{{- end -}}
{{- $settings = mergeOverwrite $settings (deepCopy .root.Values.settings) (deepCopy .own) -}}
{{- range $name, $value := $settings }}
- name: {{ include "millrace.variable" $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- with $store.credentialsSecret }}
- name: MILLRACE_STORE_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: access-key-id}
- name: MILLRACE_STORE_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ . }}, key: secret-access-key}
{{- end }}
{{- end }}

{{- define "millrace.mounts" -}}
{{- if eq .Values.metadata.log "foundationdb" }}
volumeMounts:
  - name: foundationdb
    mountPath: /etc/foundationdb
    readOnly: true
{{- end }}
{{- end }}

{{- define "millrace.volumes" -}}
{{- if eq .Values.metadata.log "foundationdb" }}
volumes:
  - name: foundationdb
    secret:
      secretName: {{ required "metadata.foundationdb.clusterFileSecret is needed" .Values.metadata.foundationdb.clusterFileSecret }}
      defaultMode: 0444
      items:
        - {key: fdb.cluster, path: fdb.cluster}
{{- end }}
{{- end }}

{{- define "millrace.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "millrace.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: ["ALL"]}
{{- end }}
